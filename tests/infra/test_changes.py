"""Waiting for a CloudFormation operation: events of an earlier operation must not end it."""

import time
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infra.deploy.changes import wait_for_completion

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


def final_status(monkeypatch: pytest.MonkeyPatch, *polls: list[dict[str, Any]]) -> str:
    """The status that the wait returns if each poll sees these new events."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    cloudformation = boto3.client("cloudformation", "eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
    events = list(BEFORE)
    with Stubber(cloudformation) as stubber:
        for new in polls:
            events += new
            stubber.add_response("describe_stack_events", {"StackEvents": events[::-1]}, {"StackName": STACK_ID})
        status = wait_for_completion(cloudformation, STACK_ID, frozenset(one["EventId"] for one in BEFORE))
        stubber.assert_no_pending_responses()
    return status


def test_events_of_an_earlier_operation_do_not_end_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    started, ended = [event(4, "UPDATE_IN_PROGRESS")], [event(5, "UPDATE_COMPLETE")]
    assert final_status(monkeypatch, [], [], started, ended) == "UPDATE_COMPLETE"


def test_events_of_resources_do_not_end_the_wait(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    polls = (
        [event(4, "UPDATE_IN_PROGRESS"), event(5, "UPDATE_FAILED", "Function")],
        [event(6, "UPDATE_ROLLBACK_IN_PROGRESS"), event(7, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")],
        [event(8, "DELETE_COMPLETE", "Other"), event(9, "UPDATE_ROLLBACK_COMPLETE")],
    )
    assert final_status(monkeypatch, *polls) == "UPDATE_ROLLBACK_COMPLETE"
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["UPDATE_FAILED", "Function"],
        ["DELETE_COMPLETE", "Other"],
        ["UPDATE_ROLLBACK_COMPLETE", "one"],
    ]
