"""The operations of DynamoDB that the function uses: AWS JSON 1.0, with bytes as base64."""

import base64
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack, cast

import orjson

from handler.aws.sdk.endpoints import EndpointResolver
from handler.aws.sdk.errors import InvalidResponseError, ServiceError
from handler.aws.sdk.signed_client import SignedClient
from handler.aws.sdk.signing import UnsignedRequest
from handler.frozen import frozen

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import (
        BatchGetItemInputTypeDef,
        BatchGetItemOutputTypeDef,
        GetItemInputTypeDef,
        GetItemOutputTypeDef,
        PutItemInputTypeDef,
        PutItemOutputTypeDef,
    )

_VERSION = "DynamoDB_20120810"


@frozen
class DynamoDB:
    """DynamoDB in the function's region; thread-safe.

    Attributes:
        client: signs and sends requests.
        endpoints: resolves endpoints.
    """

    client: SignedClient
    endpoints: EndpointResolver

    def get_item(self, **request: "Unpack[GetItemInputTypeDef]") -> "GetItemOutputTypeDef":
        """Read an item.

        Raises:
            SdkError: the call failed.
        """
        return cast("GetItemOutputTypeDef", self._call("GetItem", request))

    def batch_get_item(self, **request: "Unpack[BatchGetItemInputTypeDef]") -> "BatchGetItemOutputTypeDef":
        """Read up to 100 items; the response may leave some of them out, as `UnprocessedKeys`.

        Raises:
            SdkError: the call failed.
        """
        return cast("BatchGetItemOutputTypeDef", self._call("BatchGetItem", request))

    def put_item(self, **request: "Unpack[PutItemInputTypeDef]") -> "PutItemOutputTypeDef":
        """Write an item.

        Raises:
            SdkError: the call failed.
        """
        return cast("PutItemOutputTypeDef", self._call("PutItem", request))

    def _call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"{_VERSION}.{operation}"}
        unsigned = UnsignedRequest("POST", "/", (), headers, orjson.dumps(request, default=_base64))
        endpoint, region = self.endpoints.dynamodb(), self.endpoints.region
        with self.client.send(endpoint, unsigned, service="dynamodb", region=region) as response:
            body = response.read()
            checksum = response.header("x-amz-crc32")
        if checksum is not None and checksum != str(zlib.crc32(body)):
            raise InvalidResponseError(f"{operation}: the response does not match its checksum")
        fields = _parse(body)
        if response.status != 200:
            raise _error(operation, response.status, fields or {})
        if fields is None:
            raise InvalidResponseError(f"{operation}: the response is not a JSON object of DynamoDB")
        return fields


def _base64(value: object) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    raise TypeError(type(value).__name__)


def _parse(body: bytes) -> dict[str, Any] | None:
    """Parse a response, with base64 in its items decoded; None if it is invalid."""
    try:
        fields = orjson.loads(body)
        if not isinstance(fields, dict):
            return None
        for name in ("Item", "Attributes"):
            if name in fields:
                fields[name] = _decoded_item(fields[name])
        for table, items in fields.get("Responses", {}).items():
            fields["Responses"][table] = [_decoded_item(item) for item in items]
    except (ValueError, TypeError, AttributeError):
        return None
    return fields


def _decoded_item(item: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {attribute: _decoded(value) for attribute, value in item.items()}


def _decoded(value: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, content),) = value.items()
    match kind:
        case "B":
            content = base64.b64decode(content)
        case "BS":
            content = [base64.b64decode(part) for part in content]
        case "L":
            content = [_decoded(part) for part in content]
        case "M":
            content = {name: _decoded(part) for name, part in content.items()}
    return {kind: content}


def _error(operation: str, status: int, fields: Mapping[str, Any]) -> ServiceError:
    """Read `{"__type": "com.amazonaws.dynamodb.v20120810#Code", …}`; without it, the code is the HTTP status."""
    code = str(fields.get("__type") or "").rpartition("#")[2].partition(":")[0]
    message = str(fields.get("message") or fields.get("Message") or "")
    return ServiceError(operation, status, code or str(status), message, fields)
