"""The function's ARN, as S3 Batch Operations needs it."""

from typing import Any

import boto3
import pytest

from infra.operate.function import fetch_config
from infra.operate.stack import FUNCTION, DeployedStack, StackRef

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:dropvec"


class Lambda:
    """Lambda, which answers with an ARN of its choice: it may have the version of the alias."""

    def __init__(self, arn: str) -> None:
        self.arn, self.asked = arn, ""

    def get_function_configuration(self, FunctionName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        self.asked = FunctionName
        return {"FunctionArn": self.arn, "MemorySize": 1769}


@pytest.mark.parametrize("answered", [ARN, f"{ARN}:live", f"{ARN}:7"])
@pytest.mark.parametrize(
    ("name", "qualifier"),
    [
        ("dropvec:live", ":live"),
        ("dropvec", ""),
        (f"{ARN}:live", ":live"),
        (ARN, ""),
        ("123456789012:function:dropvec:7", ":7"),
        ("123456789012:function:dropvec", ""),
    ],
)
def test_the_arn_has_the_alias_that_the_name_has(name: str, qualifier: str, answered: str) -> None:
    stack = DeployedStack(StackRef(overrides={FUNCTION: name}), boto3.Session(region_name="eu-west-1"))
    vars(stack)["lambda_"] = function = Lambda(answered)
    config = fetch_config(stack)
    assert (config.arn, config.memory_mib, function.asked) == (ARN + qualifier, 1769, name)
