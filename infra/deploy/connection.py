"""Connect a bucket's event notifications to a stack, and remove them."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from infra.common.prompt import confirm
from infra.deploy import notifications
from infra.deploy.account import Account
from infra.deploy.plan import outputs


def connect(aws: Account, stack: Mapping[str, Any], wanted: Mapping[str, str], *, yes: bool) -> bool:
    """Add a stack's event notifications to an existing bucket, after confirmation; other notifications stay.

    Args:
        aws: the account.
        stack: CloudFormation's description of the stack.
        wanted: the stack's parameters.
        yes: do not ask; then no entries are removed that `deploy` did not add.

    Returns:
        Whether the bucket now has the stack's notifications.
    """
    if not (bucket := wanted["ExistingBucket"]):
        return True
    targets = targets_of(aws, stack)
    try:
        return _connect(aws, bucket, targets, wanted, yes=yes)
    except ClientError as error:
        target = targets.target(wanted["Trigger"])
        print(f"\nThe owner of the bucket {bucket} must add event notifications to {target}, because: {error}")
        return False


def _connect(
    aws: Account, bucket: str, targets: notifications.StackTargets, wanted: Mapping[str, str], *, yes: bool
) -> bool:
    before = notifications.read(aws.s3, bucket)
    after = notifications.with_stack(before, targets, wanted)
    if not (lines := notifications.difference(before, after)):
        return True
    print(f"\nThe event notifications of the bucket {bucket} would change:")
    print("\n".join(f"  {line}" for line in lines))
    if yes and notifications.removes_others(before, after, targets):
        print("Not changed: this would remove notifications that deploy did not add. Run it without --yes to confirm.")
        return False
    if not confirm("Change these notifications and keep all others?", yes=yes):
        print("Not changed: the bucket keeps its notifications.")
        return False
    if notifications.read(aws.s3, bucket) != before:
        print("Not changed: the notifications were modified in the meantime. Run the command again.")
        return False
    notifications.write(aws.s3, bucket, after)
    print("Changed.")
    return True


def disconnect(aws: Account, bucket: str, targets: notifications.StackTargets) -> None:
    """Remove a stack's event notifications from a bucket, or print what its owner must remove."""
    try:
        before = notifications.read(aws.s3, bucket)
        after = notifications.without_stack(before, targets)
        if after != before:
            # Without validation: the targets of other notifications may no longer exist.
            notifications.write(aws.s3, bucket, after, validate=False)
            print(f"Removed the notifications to the stack {targets.stack} from the bucket {bucket}:")
            print("\n".join(f"  {line}" for line in notifications.difference(before, after)))
    except aws.s3.exceptions.NoSuchBucket:
        pass
    except ClientError as error:
        print(
            f"The owner of the bucket {bucket} must remove its event notifications to {targets.queue} and "
            f"{targets.function}, because: {error}"
        )


def targets_of(aws: Account, stack: Mapping[str, Any]) -> notifications.StackTargets:
    """The ARNs of a stack to which a bucket can send notifications."""
    names, partition = outputs(stack), aws.cloudformation.meta.partition
    queue, function = names["QueueUrl"].rpartition("/")[2], names["FunctionName"]
    return notifications.StackTargets(
        stack["StackName"],
        queue=f"arn:{partition}:sqs:{aws.region}:{aws.id}:{queue}",
        function=f"arn:{partition}:lambda:{aws.region}:{aws.id}:function:{function}",
    )
