"""The clients of S3 and DynamoDB, and the retries of their calls.

Only this module retries, because a retry needs to know how much time the invocation has left.
"""

import os
import random
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from handler.aws.sdk.certificates import require_certificates
from handler.aws.sdk.connections import Connections, Timeouts
from handler.aws.sdk.credentials import CredentialsProvider
from handler.aws.sdk.dynamodb import DynamoDB
from handler.aws.sdk.endpoints import read_endpoints
from handler.aws.sdk.errors import NetworkError, SdkError, ServiceError, StaleError
from handler.aws.sdk.proxies import proxy_for
from handler.aws.sdk.s3 import S3
from handler.aws.sdk.signed_client import SignedClient
from handler.errors import AccessDeniedError, RetryableError
from handler.timing import Deadline

T = TypeVar("T")

MAX_ATTEMPTS = 5
FIRST_BACKOFF_SECONDS = 0.05
MAX_BACKOFF_SECONDS = 2.0

# Both services respond in milliseconds, so a longer wait is a failure. The sum must be below
# `handler.timing.MIN_START_SECONDS`, or one stalled call could time out the invocation, and with it the whole batch.
CONNECT_SECONDS = 1.0
READ_SECONDS = 4.0

# Errors that only a changed policy or new credentials resolve: not retried now; the queue redelivers the message.
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
    """The clients of both services."""

    s3: S3
    dynamodb: DynamoDB


def make_clients() -> Clients:
    """Create both clients from the environment variables that all AWS SDKs share.

    Raises:
        SettingsError: the region is missing, or a variable is invalid.
    """
    endpoints = read_endpoints(os.environ)
    require_certificates(os.environ)
    proxy_for(endpoints.dynamodb())  # checks the proxy settings
    client = SignedClient(Connections(Timeouts(CONNECT_SECONDS, READ_SECONDS)), CredentialsProvider())
    return Clients(S3(client, endpoints), DynamoDB(client, endpoints))


def attempt(operation: Callable[[], T], deadline: Deadline) -> T:
    """Run one idempotent AWS call, again after a passing fault: exponential backoff with full jitter.

    It is not begun again unless there is time for it to time out; only where a connection that was kept through a
    freeze is found closed, it is made again at once. A fault that the caller means to handle is a `ServiceError`
    that `translate` leaves alone (see there).

    Raises:
        RetryableError: it failed until the attempts or the time ran out.
        AccessDeniedError: it is not allowed.
        ServiceError: any other refusal, for the caller to read.
    """
    for number in range(1, MAX_ATTEMPTS + 1):
        try:
            return operation()
        except (RetryableError, SdkError) as error:
            fault = translate(error)
            if fault is None:
                raise
            if isinstance(error, StaleError) and number < MAX_ATTEMPTS:
                continue
            pause = random.uniform(0, min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**number))  # noqa: S311 - jitter
            hopeless = isinstance(fault, AccessDeniedError)
            if hopeless or number == MAX_ATTEMPTS or pause + READ_SECONDS > deadline.left():
                raise fault from None
            time.sleep(pause)
    raise AssertionError("unreachable: the last attempt returns or raises")


def translate(error: RetryableError | SdkError) -> RetryableError | None:
    """Map an error to ours; None for a refusal (4xx) that means something to the caller.

    Throttling answers are 4xx in DynamoDB and 503 in S3: both are passing faults.
    """
    if isinstance(error, RetryableError):
        return error
    if not isinstance(error, ServiceError):
        kind = "the network" if isinstance(error, NetworkError) else "AWS"
        return RetryableError(" ".join(f"{kind}: {error}".split())[:300])
    text = " ".join(str(error).split())[:300]
    if error.code in _DENIED or error.code.startswith("KMS."):
        return AccessDeniedError(text)
    if error.status >= 500 or error.status == 429 or error.code in _PASSING:
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
