"""CloudFormation's change sets: what would be done, shown before it is done."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from infra.common.errors import OperatorError

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

_PROPOSAL_LOOK_SECONDS = 0.5
_LOOK_SECONDS = 2.0  # the calls are counted for the whole account
_NONE_THERE = ("didn't contain changes", "No updates are to be performed")


def find_stack(cloudformation: "CloudFormationClient", name: str) -> Mapping[str, Any] | None:
    """What CloudFormation says of a stack; None where there is none, or only one that was never made."""
    try:
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return None if stack["StackStatus"] == "REVIEW_IN_PROGRESS" else dict(stack)


def propose(
    cloudformation: "CloudFormationClient",
    name: str,
    body: str,
    parameters: Sequence[Mapping[str, Any]],
    *,
    is_new: bool,
) -> tuple[str, list[Mapping[str, Any]]]:
    """Make a change set.

    Returns:
        Its ARN and its changes; none where everything is as it should be.

    Raises:
        OperatorError: CloudFormation refused it.
    """
    put_in: Any = list(parameters)
    made: Any = cloudformation.create_change_set(
        StackName=name,
        ChangeSetName=f"dropvec-{time.time_ns()}",
        ChangeSetType="CREATE" if is_new else "UPDATE",
        TemplateBody=body,
        Parameters=put_in,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    arn: str = made["Id"]
    while True:
        told = cloudformation.describe_change_set(ChangeSetName=arn)
        if told["Status"] == "CREATE_COMPLETE":
            return arn, _changes(cloudformation, arn)
        if told["Status"] == "FAILED":
            reason = told.get("StatusReason", "no reason given")
            forget(cloudformation, name, arn, is_new=is_new)
            if any(words in reason for words in _NONE_THERE):
                return arn, []
            raise OperatorError(f"CloudFormation refuses the change: {reason}")
        time.sleep(_PROPOSAL_LOOK_SECONDS)


def _changes(cloudformation: "CloudFormationClient", arn: str) -> list[Mapping[str, Any]]:
    changes: list[Mapping[str, Any]] = []
    token: Any = {}
    while True:
        page = cloudformation.describe_change_set(ChangeSetName=arn, **token)
        changes += [dict(each["ResourceChange"]) for each in page.get("Changes", [])]
        if not page.get("NextToken"):
            return changes
        token = {"NextToken": page["NextToken"]}


def forget(cloudformation: "CloudFormationClient", name: str, arn: str, *, is_new: bool) -> None:
    """Drop a change set, and the empty stack that holds the first one."""
    cloudformation.delete_change_set(ChangeSetName=arn)
    if is_new and find_stack(cloudformation, name) is None:
        cloudformation.delete_stack(StackName=name)


def shown(change: Mapping[str, Any]) -> str:
    """A change as a line for people."""
    line = f"  {change['Action']:<7} {change['LogicalResourceId']:<24} {change['ResourceType']}"
    return line + {"True": "  (replaced)", "Conditional": "  (perhaps replaced)"}.get(change.get("Replacement", ""), "")


def await_end(cloudformation: "CloudFormationClient", stack: str, since: frozenset[str]) -> str:
    """Wait until CloudFormation has done all it will, printing each resource that is done.

    The stack's own events tell of the end. Its status may still be what an earlier operation left.

    Args:
        cloudformation: a client.
        stack: name or id; an id stays good when the stack is gone.
        since: events that are old.

    Returns:
        The stack's last status.
    """
    seen = set(since)
    status = "IN_PROGRESS"
    while True:
        for event in reversed(events(cloudformation, stack)):
            if event["EventId"] not in seen:
                seen.add(event["EventId"])
                _print(event)
                if event.get("PhysicalResourceId") == event["StackId"]:
                    status = event["ResourceStatus"]
        if not status.endswith("IN_PROGRESS"):
            return status
        time.sleep(_LOOK_SECONDS)


def events(cloudformation: "CloudFormationClient", stack: str) -> list[Mapping[str, Any]]:
    """What has happened to a stack, the newest first."""
    return [dict(one) for one in cloudformation.describe_stack_events(StackName=stack)["StackEvents"]]


def _print(event: Mapping[str, Any]) -> None:
    status = event.get("ResourceStatus", "")
    if not status.endswith("IN_PROGRESS"):
        reason = f": {event['ResourceStatusReason']}" if event.get("ResourceStatusReason") else ""
        print(f"  {status:<18} {event.get('LogicalResourceId', '')}{reason}", flush=True)
