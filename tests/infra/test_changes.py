"""When CloudFormation is done: what an earlier operation left behind is not this one's end."""

import time
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infra.deploy.changes import await_end

STACK_ID = "arn:aws:cloudformation:eu-west-1:123456789012:stack/one/0a1b"


def event(number: int, status: str, resource: str = STACK_ID) -> dict[str, Any]:
    return {
        "StackId": STACK_ID,
        "EventId": str(number),
        "StackName": "one",
        "LogicalResourceId": "one" if resource == STACK_ID else resource,
        "PhysicalResourceId": resource,
        "ResourceStatus": status,
        "Timestamp": datetime.now(UTC),
    }


BEFORE = [event(1, "CREATE_IN_PROGRESS"), event(2, "CREATE_COMPLETE"), event(3, "UPDATE_COMPLETE")]


def ending(monkeypatch: pytest.MonkeyPatch, *looks: list[dict[str, Any]]) -> str:
    """How an operation ends whose new events come so, look by look."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    cloudformation = boto3.client("cloudformation", "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    told = list(BEFORE)
    with Stubber(cloudformation) as stubber:
        for new in looks:
            told += new
            stubber.add_response("describe_stack_events", {"StackEvents": told[::-1]}, {"StackName": STACK_ID})
        status = await_end(cloudformation, STACK_ID, frozenset(one["EventId"] for one in BEFORE))
        stubber.assert_no_pending_responses()
    return status


def test_what_ended_before_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = [event(4, "UPDATE_IN_PROGRESS")], [event(5, "UPDATE_COMPLETE")]
    assert ending(monkeypatch, [], [], begun, ended) == "UPDATE_COMPLETE"


def test_a_resource_that_is_done_is_not_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = (
        [event(4, "UPDATE_IN_PROGRESS"), event(5, "UPDATE_FAILED", "Function")],
        [event(6, "UPDATE_ROLLBACK_IN_PROGRESS"), event(7, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")],
        [event(8, "DELETE_COMPLETE", "Other"), event(9, "UPDATE_ROLLBACK_COMPLETE")],
    )
    assert ending(monkeypatch, *looks) == "UPDATE_ROLLBACK_COMPLETE"
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["UPDATE_FAILED", "Function"],
        ["DELETE_COMPLETE", "Other"],
        ["UPDATE_ROLLBACK_COMPLETE", "one"],
    ]
