"""Verify a deployed function's model: does it give the right vector, and do its vectors fit into an index?"""

from typing import TYPE_CHECKING, Any

import orjson
from botocore.exceptions import BotoCoreError, ClientError

from handler.aws.sdk.s3vectors import MAX_DIMENSION
from infra.common.errors import OperatorError
from infra.deploy.account import Account

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_model(aws: Account, function: str, *, search: bool) -> None:
    """Have the function embed its built-in test image, and print the outcome.

    Args:
        aws: the account.
        function: its name.
        search: whether the vectors go into an index.

    Raises:
        OperatorError: the function gives a wrong vector, or its vectors are too long for an index.
    """
    try:
        answer = aws.lambda_.invoke(FunctionName=function, Payload=b'{"check": true}')
        found: Mapping[str, Any] = orjson.loads(answer["Payload"].read())
    except (BotoCoreError, ClientError, ValueError) as error:
        _print_unverified(str(error))
        return
    if answer.get("FunctionError"):
        _print_unverified(str(found.get("errorMessage", found)))
        return
    if found["status"] != "ok":
        raise OperatorError(f"the deployed function is wrong: {found['error']}")
    dimension = found.get("embedding_dim", 0)
    if search and dimension > MAX_DIMENSION:
        raise OperatorError(
            f"the vectors of {found['model']} have {dimension} numbers; S3 Vectors accepts up to {MAX_DIMENSION}: "
            "deploy without search (SET=Search=false), or use another model"
        )
    print(f"\nVerified: the function gives the right vector of its test image ({found['model']}).")


def _print_unverified(reason: str) -> None:
    print(
        f"\nThe model was not verified, because the function could not be invoked ({' '.join(reason.split())[:200]}). "
        "Run the command of the output Check."
    )
