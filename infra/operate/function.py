"""What the function itself says: which model it runs, and on how much memory."""

from dataclasses import dataclass
from typing import Any

import orjson

from infra.common.errors import OperatorError
from infra.operate.account import Account


@dataclass(frozen=True)
class Model:
    """The model that a function runs; two vectors may be compared if and only if their fingerprints are equal."""

    name: str
    fingerprint: str


def ask_model(account: Account) -> Model:
    """Have the function check its model (`{"check": true}`) and say which it is.

    Raises:
        OperatorError: it does not start, or its model is not in order.
    """
    answer = account.lambda_.invoke(FunctionName=account.function, Payload=b'{"check": true}')
    said: Any = orjson.loads(answer["Payload"].read() or b"null")
    if answer.get("FunctionError") or not isinstance(said, dict):
        detail = said.get("errorMessage", said) if isinstance(said, dict) else said
        raise OperatorError(f"the function {account.function} fails: {' '.join(str(detail).split())[:300]}")
    if said.get("status") != "ok":
        raise OperatorError(f"the function {account.function} says: {said.get('error')}")
    return Model(said["model"], said["fingerprint"])


@dataclass(frozen=True)
class Setup:
    """How a function is deployed.

    Attributes:
        arn: its ARN.
        memory_mib: its memory.
    """

    arn: str
    memory_mib: int


def ask_setup(account: Account) -> Setup:
    """How the function is deployed."""
    found = account.lambda_.get_function_configuration(FunctionName=account.function)
    return Setup(found["FunctionArn"], found["MemorySize"])
