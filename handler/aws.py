"""AWS clients, and how a call is tried again.

Retries live here alone (botocore's own are off), because only here is it known how much time the invocation has left.
"""

import os
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from handler.errors import AccessDeniedError, RetryableError, SettingsError
from handler.timing import Deadline

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client

T = TypeVar("T")

MAX_ATTEMPTS = 5
FIRST_BACKOFF_SECONDS = 0.05
MAX_BACKOFF_SECONDS = 2.0

# A service that says nothing for so long says nothing at all: both answer in milliseconds. No longer than the time that
# `handler.timing` keeps back for a message, or one stalled call would have the platform end the whole batch.
CONNECT_SECONDS = 1.0
READ_SECONDS = 4.0

_CONFIG = Config(
    connect_timeout=CONNECT_SECONDS,
    read_timeout=READ_SECONDS,
    retries={"total_max_attempts": 1, "mode": "standard"},
    max_pool_connections=4,
)

# Refusals that a policy decides: worth a later delivery, not worth a try a second from now.
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "ExpiredToken",
        "ExpiredTokenException",
        "Forbidden",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "403",
    }
)


class Clients(NamedTuple):
    """The two services that the function talks to."""

    s3: "S3Client"
    dynamodb: "DynamoDBClient"


def make_clients() -> Clients:
    """Create both clients from the environment; `AWS_ENDPOINT_URL` and the credentials are the SDK's own.

    Raises:
        SettingsError: the region is missing, or the SDK refuses what it finds.
    """
    session = botocore.session.get_session()
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise SettingsError("AWS_REGION is not set; set it to the region of the buckets and the table")
    try:
        return Clients(
            s3=cast("S3Client", session.create_client("s3", region, config=_CONFIG)),
            dynamodb=cast("DynamoDBClient", session.create_client("dynamodb", region, config=_CONFIG)),
        )
    except (BotoCoreError, ValueError) as error:
        raise SettingsError(f"the AWS SDK does not take its settings ({error}); set AWS_* as it wants them") from None


def attempt(operation: Callable[[], T], deadline: Deadline) -> T:
    """Run one idempotent AWS call, again after a passing fault: exponential backoff with full jitter.

    It is not begun again unless there is time for it to time out. A fault that the caller means to handle is a
    `ClientError` that `translate` leaves alone (see there).

    Raises:
        RetryableError: it failed until the attempts or the time ran out.
        AccessDeniedError: it is not allowed.
        ClientError: any other refusal, for the caller to read.
    """
    for number in range(1, MAX_ATTEMPTS + 1):
        try:
            return operation()
        except (RetryableError, BotoCoreError, ClientError, ResponseParserError, HTTPError, OSError) as error:
            fault = translate(error)
            if fault is None:
                raise
            pause = random.uniform(0, min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**number))  # noqa: S311 - jitter
            hopeless = isinstance(fault, AccessDeniedError) or isinstance(error, ParamValidationError)
            if hopeless or number == MAX_ATTEMPTS or pause + READ_SECONDS > deadline.left():
                raise fault from None
            time.sleep(pause)
    raise AssertionError("unreachable: the last attempt returns or raises")


def translate(error: Exception) -> RetryableError | None:
    """Map an SDK error to ours; None for a refusal (4xx) that means something to the caller.

    Throttling answers are 4xx in DynamoDB and 503 in S3: both are passing faults.
    """
    if isinstance(error, RetryableError):
        return error
    if not isinstance(error, ClientError):
        kind = "the network" if isinstance(error, (HTTPClientError, HTTPError, OSError)) else "the AWS SDK"
        return RetryableError(" ".join(f"{kind}: {error}".split())[:300])
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = f"{error.operation_name}: {code}: {error.response.get('Error', {}).get('Message', '')}"[:300]
    if code in _DENIED or code.startswith("KMS."):
        return AccessDeniedError(text)
    if status >= 500 or status == 429 or code in _PASSING:
        return RetryableError(text)
    return None


_PASSING = frozenset(
    {
        "BadDigest",
        "ConditionalRequestConflict",
        "InternalError",
        "InternalServerError",
        "LimitExceededException",
        "OperationAborted",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeTooSkewed",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


def error_code(error: ClientError) -> str:
    """The service's own code of an error, such as `NoSuchKey`."""
    return error.response.get("Error", {}).get("Code", "")
