"""Disconnect the bucket that a stack no longer uses, also when the deployment that changed this was interrupted.

The change set names the bucket in its description: after the update, nothing else of the stack does.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from infra.deploy.account import Account
from infra.deploy.browser_uploads import remove_rule
from infra.deploy.connection import disconnect, targets_of
from infra.deploy.plan import Plan, uploads_bucket

_TEXT = "To disconnect afterwards: "


def description(plan: Plan) -> Mapping[str, str]:
    """What CreateChangeSet needs for `disconnect_abandoned` in a later run; empty without an abandoned bucket."""
    return {"Description": f"{_TEXT}{plan.abandoned_bucket}"} if plan.abandoned_bucket else {}


def disconnect_abandoned(aws: Account, plan: Plan, deployed: Mapping[str, Any]) -> None:
    """Remove the stack's notifications and CORS rule from buckets that it used before its last update.

    Args:
        aws: the account.
        plan: the deployment that was applied.
        deployed: CloudFormation's description of the stack.
    """
    buckets = dict.fromkeys([plan.abandoned_bucket, *_of_last_update(aws, deployed)])
    for bucket in buckets.keys() - {"", uploads_bucket(deployed)}:
        disconnect(aws, bucket, targets_of(aws, deployed))
        remove_rule(aws, bucket, plan.stack)


def _of_last_update(aws: Account, deployed: Mapping[str, Any]) -> Iterator[str]:
    """The bucket that the stack's last update abandoned, if it did."""
    stack = deployed["StackName"]
    listed = aws.cloudformation.list_change_sets(StackName=stack)["Summaries"]
    executed = {one["ChangeSetName"] for one in listed if one.get("ExecutionStatus") == "EXECUTE_COMPLETE"}
    if arn := deployed.get("ChangeSetId"):  # …:changeSet/NAME/UUID
        executed.add(arn.split("/")[-2])
    for name in executed:
        described = aws.cloudformation.describe_change_set(StackName=stack, ChangeSetName=name)
        if (text := described.get("Description", "")).startswith(_TEXT):
            yield text.removeprefix(_TEXT)
