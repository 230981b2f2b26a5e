"""CloudFormation's change sets and events."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from infra.common.errors import OperatorError
from infra.common.signals import uninterrupted

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

_CHANGE_SET_POLL_SECONDS = 0.5
_EVENT_POLL_SECONDS = 2.0  # CloudFormation limits calls per account
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


def find_stack(cloudformation: "CloudFormationClient", name: str) -> Mapping[str, Any] | None:
    """CloudFormation's description of a stack; None if there is none, or only the shell of a first change set."""
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
    template: Mapping[str, Any],
    parameters: Sequence[Mapping[str, Any]],
    *,
    is_new: bool,
) -> tuple[str, list[Mapping[str, Any]]]:
    """Create a change set. If it is interrupted, nothing of it is left.

    Args:
        cloudformation: CloudFormation client.
        name: the stack's name.
        template: TemplateBody or TemplateURL; for an import, also ResourcesToImport; perhaps a Description.
        parameters: the stack's parameters.
        is_new: whether the stack does not exist yet.

    Returns:
        Its name and its changes; no changes if the stack is up to date.

    Raises:
        OperatorError: CloudFormation rejected it.
    """
    kind = "IMPORT" if "ResourcesToImport" in template else "CREATE" if is_new else "UPDATE"
    arguments: Any = {**template, "Parameters": list(parameters), "ChangeSetType": kind}
    change_set = f"dropvec-{time.time_ns()}"
    cloudformation.create_change_set(
        StackName=name,
        ChangeSetName=change_set,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        **arguments,
    )
    is_usable = False
    try:
        proposed = _proposed(cloudformation, name, change_set)
        is_usable = bool(proposed)
    finally:
        if not is_usable:
            discard(cloudformation, name, change_set, is_new=is_new)
    return change_set, proposed


def _proposed(cloudformation: "CloudFormationClient", stack: str, change_set: str) -> list[Mapping[str, Any]]:
    """Wait until a change set is created, and return its changes."""
    while True:
        described = cloudformation.describe_change_set(StackName=stack, ChangeSetName=change_set)
        if described["Status"] == "CREATE_COMPLETE":
            return _changes(cloudformation, stack, change_set)
        if described["Status"] == "FAILED":
            reason = described.get("StatusReason", "no reason given")
            if any(text in reason for text in _NO_CHANGES):
                return []
            raise OperatorError(f"CloudFormation rejected the change: {reason}")
        time.sleep(_CHANGE_SET_POLL_SECONDS)


def is_accepted(
    cloudformation: "CloudFormationClient", stack: str, change_set: str, ask: Callable[[], bool], *, is_new: bool
) -> bool:
    """Ask whether a change set shall be executed, and delete it otherwise, also if the question is interrupted."""
    answer = False
    try:
        answer = ask()
    finally:
        if not answer:
            discard(cloudformation, stack, change_set, is_new=is_new)
    if not answer:
        print("Nothing was changed.")
    return answer


def execute(cloudformation: "CloudFormationClient", stack: str, change_set: str) -> str:
    """Execute a change set, wait until that ends, and return the stack's status.

    Raises:
        KeyboardInterrupt: with a text that says that CloudFormation continues.
    """
    old_events = frozenset(event["EventId"] for event in events(cloudformation, stack))
    try:
        cloudformation.execute_change_set(StackName=stack, ChangeSetName=change_set)
        return wait_for_completion(cloudformation, stack, old_events)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"while CloudFormation is changing the stack {stack}: run the same command again when that has ended"
        ) from None


def _changes(cloudformation: "CloudFormationClient", stack: str, change_set: str) -> list[Mapping[str, Any]]:
    changes: list[Mapping[str, Any]] = []
    token: Any = {}
    while True:
        page = cloudformation.describe_change_set(StackName=stack, ChangeSetName=change_set, **token)
        changes += [dict(each["ResourceChange"]) for each in page.get("Changes", [])]
        if not page.get("NextToken"):
            return changes
        token = {"NextToken": page["NextToken"]}


def discard(cloudformation: "CloudFormationClient", name: str, change_set: str, *, is_new: bool) -> None:
    """Delete a change set, and for a new stack the empty stack that was created with it."""
    with uninterrupted():
        cloudformation.delete_change_set(StackName=name, ChangeSetName=change_set)
        if is_new and find_stack(cloudformation, name) is None:
            cloudformation.delete_stack(StackName=name)


def format_change(change: Mapping[str, Any]) -> str:
    """A change as a line of text."""
    line = f"  {change['Action']:<7} {change['LogicalResourceId']:<24} {change['ResourceType']}"
    return line + {"True": "  (replaced)", "Conditional": "  (may be replaced)"}.get(change.get("Replacement", ""), "")


def wait_for_completion(cloudformation: "CloudFormationClient", stack: str, old_events: frozenset[str]) -> str:
    """Wait until an operation on a stack ends, and print the status of each resource.

    Uses the stack's events, because the stack's status may at first still be that of the previous operation.

    Args:
        cloudformation: CloudFormation client.
        stack: name or id; only the id works after the stack is deleted.
        old_events: ids of events before the operation.

    Returns:
        The stack's final status.
    """
    seen = set(old_events)
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
        time.sleep(_EVENT_POLL_SECONDS)


def events(cloudformation: "CloudFormationClient", stack: str) -> list[Mapping[str, Any]]:
    """A stack's events, newest first."""
    return [dict(one) for one in cloudformation.describe_stack_events(StackName=stack)["StackEvents"]]


def _print(event: Mapping[str, Any]) -> None:
    status = event.get("ResourceStatus", "")
    if not status.endswith("IN_PROGRESS"):
        reason = f": {event['ResourceStatusReason']}" if event.get("ResourceStatusReason") else ""
        print(f"  {status:<18} {event.get('LogicalResourceId', '')}{reason}", flush=True)
