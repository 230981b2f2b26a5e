"""The checks of `deploy` that concern search, with AWS's answers."""

from typing import Any

import pytest

from infra.deploy.account import Account
from infra.deploy.plan import Plan

KEY = "arn:aws:kms:eu-west-1:123456789012:key/0a1b"


def account(**clients: Any) -> Account:
    names = ("cloudformation", "s3", "s3vectors", "lambda_", "ecr", "logs", "sns", "dynamodb")
    unused: dict[str, Any] = dict.fromkeys(names)
    return Account(id="123456789012", region="il-central-1", **{**unused, **clients})


@pytest.mark.parametrize(
    ("deployed", "given", "creates", "rebuild", "abandons"),
    [
        (None, {}, True, False, False),
        (None, {"Search": "false"}, False, False, False),
        ({}, {}, True, True, False),  # a stack of a version without search
        ({"Search": "false"}, {}, False, False, False),
        ({"Search": "false"}, {"Search": "true"}, True, True, False),
        ({"Search": "true", "KmsKeyArn": ""}, {"MemorySize": "3008"}, False, False, False),
        ({"Search": "true", "KmsKeyArn": ""}, {"Search": "false"}, False, False, True),
        ({"Search": "true", "KmsKeyArn": ""}, {"KmsKeyArn": KEY}, True, True, True),
        ({"Search": "true", "KmsKeyArn": KEY}, {"KmsKeyArn": KEY}, False, False, False),
    ],
)
def test_the_plan_knows_what_happens_to_the_index(
    deployed: dict[str, str] | None, given: dict[str, str], creates: bool, rebuild: bool, abandons: bool
) -> None:
    current = None
    if deployed is not None:
        parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in deployed.items()]
        outputs = [{"OutputKey": "VectorBucketName", "OutputValue": "old"}] if deployed.get("Search") == "true" else []
        current = {"Parameters": parameters, "Outputs": outputs}
    plan = Plan("dropvec", current, given)
    assert (plan.creates_index, plan.needs_rebuild, plan.abandoned_vector_bucket) == (
        creates,
        rebuild,
        "old" if abandons else "",
    )
