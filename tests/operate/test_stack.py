"""Looking up a deployed stack."""

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, NoRegionError
from botocore.stub import Stubber

from infra.common.errors import OperatorError
from infra.operate.stack import (
    FUNCTION,
    QUEUE,
    TABLE,
    UPLOADS,
    DeployedStack,
    StackRef,
    aws_errors_as_operator_errors,
    connect,
)


def stack_in_frankfurt(ref: StackRef, outputs: dict[str, str] | None = None) -> DeployedStack:
    return DeployedStack(ref, boto3.Session("test", "test", region_name="eu-central-1"), None, outputs)


def test_options_override_the_outputs_of_the_stack() -> None:
    outputs = {TABLE: "the-table", FUNCTION: "the-function"}
    found = stack_in_frankfurt(StackRef("mine", overrides={FUNCTION: "another"}), outputs)
    assert (found.table, found.function) == ("the-table", "another")
    assert found.find_resource(QUEUE) is None
    with pytest.raises(OperatorError, match="the stack mine has no output QueueUrl: give it with --queue"):
        _ = found.queue_url
    with pytest.raises(OperatorError, match=r"the stack mine has no output UploadsBucket$"):
        found.resource(UPLOADS)


def test_a_region_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OperatorError, match="no region is set: use --region or AWS_REGION"):
        connect(StackRef())
    assert connect(StackRef(region="eu-west-3")).session.region_name == "eu-west-3"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    monkeypatch.setenv("AWS_REGION", "")
    assert connect(StackRef()).session.region_name == "eu-west-2"
    monkeypatch.setenv("AWS_REGION", "eu-north-1")  # takes precedence, as for the aws command
    assert connect(StackRef()).session.region_name == "eu-north-1"


def test_options_for_all_resources_need_no_stack() -> None:
    assert stack_in_frankfurt(StackRef(overrides={TABLE: "t"})).table == "t"  # an AWS call would fail here


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            ClientError({"Error": {"Code": "AccessDenied", "Message": "not\nyou"}}, "GetItem"),
            "^GetItem: AccessDenied: not you$",
        ),
        (NoRegionError(), r"^You must specify a region\.$"),
    ],
)
def test_an_aws_error_becomes_one_line(error: Exception, message: str) -> None:
    with pytest.raises(OperatorError, match=message), aws_errors_as_operator_errors():
        raise error


def test_key_filters_are_parameters_of_the_stack() -> None:
    found = stack_in_frankfurt(StackRef("mine"))
    stack: Any = {"StackName": "mine", "CreationTime": datetime.now(UTC), "StackStatus": "CREATE_COMPLETE"}
    stack["Parameters"] = [{"ParameterKey": "KeySuffix", "ParameterValue": ".jpg"}]
    stack["Outputs"] = [{"OutputKey": TABLE, "OutputValue": "vectors"}]
    with Stubber(found.cloudformation) as stubber:
        stubber.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": "mine"})  # one call: it is cached
        assert found.key_filters == ("", ".jpg")
        assert found.table == "vectors"
