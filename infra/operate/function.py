"""Properties of the deployed function: its model, ARN and memory."""

from dataclasses import dataclass
from typing import Any

import orjson

from infra.common.errors import OperatorError
from infra.operate.stack import DeployedStack


@dataclass(frozen=True)
class FunctionModel:
    """The function's model. Two vectors are comparable if and only if their fingerprints are equal."""

    name: str
    fingerprint: str


def fetch_model(stack: DeployedStack) -> FunctionModel:
    """Invoke the function's model check (`{"check": true}`), which returns its model.

    Raises:
        OperatorError: the function does not start, or the check fails.
    """
    answer = stack.lambda_.invoke(FunctionName=stack.function, Payload=b'{"check": true}')
    response: Any = orjson.loads(answer["Payload"].read() or b"null")
    if answer.get("FunctionError") or not isinstance(response, dict):
        detail = response.get("errorMessage", response) if isinstance(response, dict) else response
        raise OperatorError(f"the function {stack.function} failed: {' '.join(str(detail).split())[:300]}")
    if response.get("status") != "ok":
        raise OperatorError(f"the model check of the function {stack.function} failed: {response.get('error')}")
    return FunctionModel(response["model"], response["fingerprint"])


@dataclass(frozen=True)
class FunctionConfig:
    """The function's configuration.

    Attributes:
        arn: the function's ARN, with the alias that the stack's output names.
        memory_mib: its memory in MiB.
    """

    arn: str
    memory_mib: int


def fetch_config(stack: DeployedStack) -> FunctionConfig:
    """Ask Lambda for the function's configuration."""
    config = stack.lambda_.get_function_configuration(FunctionName=stack.function)
    arn = config["FunctionArn"].split(":")[:7]  # Lambda may add the version or the alias
    return FunctionConfig(":".join([*arn, *_qualifier(stack.function)]), config["MemorySize"])


def _qualifier(function: str) -> list[str]:
    """The alias or version of a function's name, ARN or partial ARN; empty if it has none."""
    parts = function.split(":")
    before = 7 if parts[0] == "arn" else 3 if parts[1:2] == ["function"] else 1
    return parts[before:]
