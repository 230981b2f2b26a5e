"""Direct invocations of the function `Api`."""

from collections.abc import Mapping
from typing import Any

import orjson

from infra.common.errors import OperatorError
from infra.operate.function import FunctionModel
from infra.operate.search.indexes import search_off
from infra.operate.stack import API, DeployedStack

# Lambda refuses larger payloads of synchronous invocations.
_MAX_PAYLOAD_BYTES = 6_000_000


def invoke_api(stack: DeployedStack, request: Mapping[str, Any]) -> dict[str, Any]:
    """Send a request, and return the answer, whose status is `ok`.

    Raises:
        OperatorError: the stack has no search, the request is too large, the function fails, or it answers an error.
    """
    function = stack.find_resource(API)
    if function is None:
        raise OperatorError(search_off(stack))
    payload = orjson.dumps(request)
    if len(payload) > _MAX_PAYLOAD_BYTES:
        raise OperatorError(
            f"the request has {len(payload):,} bytes; Lambda takes {_MAX_PAYLOAD_BYTES:,}: use fewer files"
        )
    answer = stack.lambda_.invoke(FunctionName=function, Payload=payload)
    response: Any = orjson.loads(answer["Payload"].read() or b"null")
    if answer.get("FunctionError") or not isinstance(response, dict):
        detail = response.get("errorMessage", response) if isinstance(response, dict) else response
        raise OperatorError(f"the function {function} failed: {' '.join(str(detail).split())[:300]}")
    if response.get("status") != "ok":
        error = " ".join(str(response.get("error")).split())[:500]
        raise OperatorError(f"{error} ({response.get('error_code')})")
    return response


def search_model(stack: DeployedStack) -> FunctionModel:
    """The model that searches use.

    Raises:
        OperatorError: see `invoke_api`.
    """
    response = invoke_api(stack, {"check": True})
    return FunctionModel(response["model"], response["fingerprint"])
