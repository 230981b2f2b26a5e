"""How a stack is found."""

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoRegionError
from botocore.stub import Stubber

from infra.common.errors import OperatorError
from infra.operate.account import FUNCTION, QUEUE, TABLE, UPLOADS, Account, Where, find, told_in_one_line


def account(where: Where, known: dict[str, str] | None = None) -> Account:
    return Account(where, boto3.Session("test", "test", region_name="eu-central-1"), None, known)


def test_parts_are_the_outputs_of_the_stack_unless_they_are_given() -> None:
    found = account(Where("mine", given={FUNCTION: "another"}), {TABLE: "the-table", FUNCTION: "the-function"})
    assert (found.table, found.function) == ("the-table", "another")
    assert found.find(QUEUE) is None
    with pytest.raises(OperatorError, match="the stack mine has no output QueueUrl: name it with --queue"):
        _ = found.queue_url
    with pytest.raises(OperatorError, match=r"the stack mine has no output UploadsBucket$"):
        found.part(UPLOADS)


def test_a_region_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OperatorError, match="no region is set: name it with --region or AWS_REGION"):
        find(Where())
    assert find(Where(region="eu-west-3")).session.region_name == "eu-west-3"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    monkeypatch.setenv("AWS_REGION", "")
    assert find(Where()).session.region_name == "eu-west-2"
    monkeypatch.setenv("AWS_REGION", "eu-north-1")  # as the aws command heeds it
    assert find(Where()).session.region_name == "eu-north-1"


def test_parts_that_are_all_given_need_no_stack() -> None:
    assert account(Where(given={TABLE: "t"})).table == "t"  # nothing is asked: no AWS is there


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ClientError({"Error": {"Code": "AccessDenied", "Message": "not\nyou"}}, "GetItem"),
            "^GetItem: AccessDenied: not you$",
        ),
        (NoRegionError(), r"^You must specify a region\.$"),
    ],
)
def test_what_aws_refuses_is_one_line(error: Exception, said: str) -> None:
    with pytest.raises(OperatorError, match=said), told_in_one_line():
        raise error


def test_the_stack_tells_which_keys_the_function_may_read() -> None:
    found = account(Where("mine"))
    stack: Any = {"StackName": "mine", "CreationTime": datetime.now(UTC), "StackStatus": "CREATE_COMPLETE"}
    stack["Parameters"] = [{"ParameterKey": "KeySuffix", "ParameterValue": ".jpg"}]
    stack["Outputs"] = [{"OutputKey": TABLE, "OutputValue": "vectors"}]
    with Stubber(found.cloudformation) as stubber:
        stubber.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": "mine"})  # once: it is kept
        assert found.key_filters == ("", ".jpg")
        assert found.table == "vectors"
