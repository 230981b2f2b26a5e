"""Repeats of AWS calls: the only place that repeats them, because it knows how much time the invocation has left."""

import random
import time
from collections.abc import Callable, Collection
from typing import TypeVar

from handler.aws.sdk.errors import NetworkError, SdkError, ServiceError, StaleError
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

# Errors that a policy decides: not retried now; the queue redelivers.
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


def attempt(operation: Callable[[], T], deadline: Deadline, expected: Collection[str] = ()) -> T:
    """Run one idempotent AWS call, and again after a transient error: exponential backoff with full jitter.

    It is repeated only while there is time for one more time-out. A connection that the other side closed while the
    process was frozen is replaced at once.

    Args:
        operation: the call.
        deadline: of the invocation.
        expected: error codes that the caller handles.

    Raises:
        ServiceError: an expected one.
        AccessDeniedError: access is denied.
        RetryableError: any other error, or transient ones until the attempts or the time ran out.
    """
    for number in range(1, MAX_ATTEMPTS + 1):
        try:
            return operation()
        except (RetryableError, SdkError) as error:
            if isinstance(error, ServiceError) and error.code in expected:
                raise
            if isinstance(error, StaleError) and number < MAX_ATTEMPTS:
                continue
            pause = random.uniform(0, min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2**number))  # noqa: S311 - jitter
            if not _is_transient(error) or number == MAX_ATTEMPTS or pause + READ_SECONDS > deadline.left():
                raise translate(error) from None
            time.sleep(pause)
    raise AssertionError("unreachable: the last attempt returns or raises")


def translate(error: RetryableError | SdkError) -> RetryableError:
    """Turn an error of the SDK into ours, as one line."""
    if isinstance(error, RetryableError):
        return error
    text = " ".join(str(error).split())[:300]
    if not isinstance(error, ServiceError):
        return RetryableError(f"{'the network' if isinstance(error, NetworkError) else 'AWS'}: {text}"[:300])
    return AccessDeniedError(text) if _is_denied(error) else RetryableError(text)


def _is_denied(error: ServiceError) -> bool:
    return error.code in _DENIED or error.code.startswith("KMS.")


def _is_transient(error: RetryableError | SdkError) -> bool:
    """Whether the same call may succeed a second from now. Throttling is a 4xx in DynamoDB and a 503 in S3."""
    if not isinstance(error, ServiceError):
        return True
    return error.status >= 500 or error.status == 429 or error.code in _TRANSIENT


_TRANSIENT = frozenset(
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
        "RequestTimeoutException",
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
