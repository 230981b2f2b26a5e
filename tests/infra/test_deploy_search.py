"""The checks of `deploy` that concern search, with AWS's answers."""

import io
import json
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from infra.common.errors import OperatorError
from infra.deploy.account import Account
from infra.deploy.model_check import check_model
from infra.deploy.plan import Plan

KEY = "arn:aws:kms:eu-west-1:123456789012:key/0a1b"
VERIFIED = {"status": "ok", "model": "tiny", "embedding_dim": 512}


def account(**clients: Any) -> Account:
    names = ("cloudformation", "s3", "s3vectors", "lambda_", "ecr", "logs", "sns")
    unused: dict[str, Any] = dict.fromkeys(names)
    return Account(id="123456789012", region="il-central-1", **{**unused, **clients})


class Function:
    """A deployed function that gives one answer, or cannot be reached."""

    def __init__(self, answer: object, error: str | None = None) -> None:
        self.answer, self.error = answer, error

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - Lambda's names
        assert (FunctionName, json.loads(Payload)) == ("function", {"check": True})
        if self.answer is None:
            raise EndpointConnectionError(endpoint_url="https://lambda")
        body = io.BytesIO(json.dumps(self.answer).encode())
        return {"Payload": body, **({"FunctionError": self.error} if self.error else {})}


@pytest.mark.parametrize(
    ("function", "printed"),
    [
        (Function(VERIFIED), "Verified: the function gives the right vector of its test image (tiny)."),
        (Function(None), "could not be invoked (Could not connect"),
        (
            Function({"errorMessage": "out of\nmemory"}, "Unhandled"),
            "could not be invoked (out of memory). Run the comm",
        ),
    ],
)
def test_the_outcome_of_the_check_is_printed(
    capsys: pytest.CaptureFixture[str], function: Function, printed: str
) -> None:
    check_model(account(lambda_=function), "function", search=True)
    assert printed in capsys.readouterr().out


@pytest.mark.parametrize(
    ("dimension", "search", "fits"), [(4096, True, True), (4097, True, False), (4097, False, True)]
)
def test_vectors_that_do_not_fit_into_an_index_are_an_error(dimension: int, search: bool, fits: bool) -> None:
    aws = account(lambda_=Function(VERIFIED | {"embedding_dim": dimension}))
    if fits:
        check_model(aws, "function", search=search)
    else:
        with pytest.raises(OperatorError, match=r"have 4097 numbers.*up to 4096.*Search=false"):
            check_model(aws, "function", search=search)


def test_a_wrong_vector_is_an_error() -> None:
    wrong = {"status": "error", "error": "produces another vector", "error_code": "wrong_vector"}
    with pytest.raises(OperatorError, match="the deployed function is wrong: produces another vector"):
        check_model(account(lambda_=Function(wrong)), "function", search=True)


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
