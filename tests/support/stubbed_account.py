"""An account whose calls are answered by botocore's stubber, with the answers that AWS documents."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from botocore.stub import Stubber

from infra.deploy.account import Account

ID = "123456789012"
# The name of a client's service, where it differs from the field of `Account`.
_SERVICES = {"lambda_": "lambda"}
_CLIENTS = ("cloudformation", "s3", "s3vectors", "lambda_", "ecr", "logs", "sns", "dynamodb")


@dataclass(frozen=True)
class Stubbed:
    """An account, and what answers its calls.

    Attributes:
        account: the account.
        stubbers: by the client's name in `Account`.
    """

    account: Account
    stubbers: dict[str, Stubber]

    def answer(self, client: str, operation: str, answer: dict[str, Any], **expected: Any) -> None:
        """Answer the next call."""
        self.stubbers[client].add_response(operation, answer, expected)

    def refuse(self, client: str, operation: str, code: str, status: int = 400) -> None:
        """Answer the next call with an error."""
        self.stubbers[client].add_client_error(operation, code, "no", status)


@cache  # the creation of a client takes a tenth of a second
def _clients(region: str) -> dict[str, Any]:
    make_client: Any = boto3.Session("id", "secret", region_name=region).client
    return {name: make_client(_SERVICES.get(name, name)) for name in _CLIENTS}


@contextmanager
def stubbed_account(region: str = "eu-west-1") -> Iterator[Stubbed]:
    """An account in a region; every answer must have been used at the end of the block."""
    with ExitStack() as stack:
        clients = _clients(region)
        stubbers = {name: stack.enter_context(Stubber(client)) for name, client in clients.items()}
        yield Stubbed(Account(id=ID, region=region, **clients), stubbers)
        for stubber in stubbers.values():
            stubber.assert_no_pending_responses()
