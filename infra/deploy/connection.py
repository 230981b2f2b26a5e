"""A bucket begins to tell a stack of its objects, and ends to."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy import notifications
from infra.deploy.account import Account, agreed
from infra.deploy.plan import outputs


def connect(aws: Account, stack: Mapping[str, Any], wanted: Mapping[str, str], *, yes: bool) -> bool:
    """Let an existing bucket tell a stack of uploads, if its owner agrees; all that it tells others stays.

    Args:
        aws: the account.
        stack: what CloudFormation says of it.
        wanted: its parameters.
        yes: do not ask; then only entries go that were added here.

    Returns:
        Whether the bucket tells it as wanted now.
    """
    if not (bucket := wanted["ExistingBucket"]):
        return True
    listener = listener_of(aws, stack)
    try:
        return _connect(aws, bucket, listener, wanted, yes=yes)
    except ClientError as error:
        target = listener.target(wanted["Trigger"])
        print(f"\nThe bucket {bucket} has to tell {target}, which is left to its owner: {error}")
        return False


def _connect(
    aws: Account, bucket: str, listener: notifications.Listener, wanted: Mapping[str, str], *, yes: bool
) -> bool:
    before = notifications.read(aws.s3, bucket)
    after = notifications.with_stack(before, listener, wanted)
    if not (lines := notifications.difference(before, after)):
        return True
    print(f"\nThe notifications of the bucket {bucket} would change:")
    print("\n".join(f"  {line}" for line in lines))
    if yes and notifications.replaces_others(before, after, listener):
        print("Not changed, for `make deploy` did not add all of what would go: without --yes it asks.")
        return False
    if not agreed("Do that, and leave the others as they are?", yes=yes):
        print("Not changed: the bucket tells what it told before.")
        return False
    if notifications.read(aws.s3, bucket) != before:
        print("Not changed: somebody else has changed them meanwhile. Try again.")
        return False
    notifications.write(aws.s3, bucket, after)
    print("Changed.")
    return True


def disconnect(aws: Account, bucket: str, listener: notifications.Listener) -> None:
    """Take a stack's part out of a bucket's notifications, or say what its owner has to: they go nowhere now."""
    try:
        now = notifications.read(aws.s3, bucket)
        wanted = notifications.without_stack(now, listener)
        if wanted != now:
            # The others may be gone, which is their affair.
            notifications.write(aws.s3, bucket, wanted, is_checked=False)
            print(f"The bucket {bucket} no longer tells the stack {listener.stack} of its objects:")
            print("\n".join(f"  {line}" for line in notifications.difference(now, wanted)))
    except aws.s3.exceptions.NoSuchBucket:
        pass
    except ClientError as error:
        print(
            f"What the notifications of the bucket {bucket} hold for {listener.queue} and {listener.function} is left "
            f"to its owner to remove: {error}"
        )


def listener_of(aws: Account, stack: Mapping[str, Any]) -> notifications.Listener:
    """A stack, as buckets know it."""
    made, partition = outputs(stack), aws.cloudformation.meta.partition
    queue, function = made["QueueUrl"].rpartition("/")[2], made["FunctionName"]
    return notifications.Listener(
        stack["StackName"],
        queue=f"arn:{partition}:sqs:{aws.region}:{aws.id}:{queue}",
        function=f"arn:{partition}:lambda:{aws.region}:{aws.id}:function:{function}",
    )
