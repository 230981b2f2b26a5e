"""Check a published version before it is used: does it start, is its vector right, does that fit into an index?"""

import time
from collections.abc import Mapping
from typing import Any

import orjson
from botocore.exceptions import ClientError

from handler.aws.sdk.s3vectors import MAX_DIMENSION
from infra.common.errors import OperatorError
from infra.deploy.account import Account, needs
from infra.deploy.live import Live, await_ready

# A function of a container image becomes inactive when it has not been invoked for weeks; the first invocation is
# refused and activates it. https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
_INACTIVE = {"ResourceConflictException", "ResourceNotReadyException", "CodeArtifactUserPendingException"}
# Other invocations use all of the concurrency.
_BUSY = {"TooManyRequestsException", "ThrottlingException", "ServiceException", "EC2ThrottledException"}
_ATTEMPTS, _PAUSE_SECONDS = 20, 5.0

_REQUESTS = {"IndexerName": b'{"Records": []}'}
_CHECK = b'{"check": true}'


def check_version(aws: Account, live: Live, version: str, *, search: bool) -> None:
    """Invoke a version with a request that changes nothing, and print the outcome.

    The function that embeds compares its vector of a test image with the one that the original model computed. The
    search function answers with its model. The indexer, which has no model, gets an empty batch.

    Args:
        aws: the account.
        live: the alias that is to name the version.
        version: a published version.
        search: whether the function's vectors go into an index.

    Raises:
        OperatorError: the version does not start, does not answer, or is wrong.
    """
    await_ready(aws, live.function, version)
    answer = _invoke(aws, live, version)
    text = answer["Payload"].read()
    found: Any = orjson.loads(text or b"null")
    if answer.get("FunctionError"):
        reason = found.get("errorMessage", found) if isinstance(found, dict) else found
        raise OperatorError(f"version {version} of {live.function} fails: {' '.join(str(reason).split())[:300]}")
    if live.output == "IndexerName":
        print(f"Verified: version {version} of the indexer starts.")
        return
    if not isinstance(found, dict) or found.get("status") != "ok":
        reason = found.get("error", found) if isinstance(found, dict) else found
        raise OperatorError(f"version {version} of {live.function} is wrong: {' '.join(str(reason).split())[:300]}")
    if live.output == "FunctionName":
        _check_dimension(found, search=search)
        print(f"Verified: version {version} gives the right vector of its test image ({found['model']}).")
    else:
        print(f"Verified: version {version} of the search function answers ({found['model']}).")


def _invoke(aws: Account, live: Live, version: str) -> Mapping[str, Any]:
    """Invoke a version; wait while it is inactive or the account is busy."""
    attempts = 0
    while True:
        attempts += 1
        try:
            with needs("lambda:InvokeFunction"):
                return dict(
                    aws.lambda_.invoke(
                        FunctionName=live.function,
                        Qualifier=version,
                        Payload=_REQUESTS.get(live.output, _CHECK),
                    )
                )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if attempts == _ATTEMPTS or code not in _BUSY | _INACTIVE:
                raise
            if code in _INACTIVE:
                await_ready(aws, live.function, version)
        time.sleep(_PAUSE_SECONDS)


def _check_dimension(found: Mapping[str, Any], *, search: bool) -> None:
    dimension = found.get("embedding_dim", 0)
    if search and dimension > MAX_DIMENSION:
        raise OperatorError(
            f"the vectors of {found['model']} have {dimension} numbers; S3 Vectors accepts up to {MAX_DIMENSION}: "
            "deploy without search (SET=Search=false), or use another model"
        )
