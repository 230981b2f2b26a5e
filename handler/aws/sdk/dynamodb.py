"""The calls of DynamoDB that the function makes: AWS JSON 1.0, with bytes as base64."""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack, cast

import orjson

from handler.aws.sdk.calls import Caller
from handler.aws.sdk.endpoints import Endpoints
from handler.aws.sdk.errors import AnswerError, ServiceError
from handler.aws.sdk.signing import Unsigned

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import (
        GetItemInputTypeDef,
        GetItemOutputTypeDef,
        PutItemInputTypeDef,
        PutItemOutputTypeDef,
        UpdateItemInputTypeDef,
        UpdateItemOutputTypeDef,
    )

_VERSION = "DynamoDB_20120810"


@dataclass(frozen=True, slots=True)
class DynamoDB:
    """DynamoDB of the function's region; safe to use from several threads.

    Attributes:
        caller: sends.
        endpoints: where to.
    """

    caller: Caller
    endpoints: Endpoints

    def get_item(self, **request: "Unpack[GetItemInputTypeDef]") -> "GetItemOutputTypeDef":
        """Read an item.

        Raises:
            SdkError: it was not answered so.
        """
        return cast("GetItemOutputTypeDef", self._call("GetItem", request))

    def put_item(self, **request: "Unpack[PutItemInputTypeDef]") -> "PutItemOutputTypeDef":
        """Write an item.

        Raises:
            SdkError: it was not answered so.
        """
        return cast("PutItemOutputTypeDef", self._call("PutItem", request))

    def update_item(self, **request: "Unpack[UpdateItemInputTypeDef]") -> "UpdateItemOutputTypeDef":
        """Change an item.

        Raises:
            SdkError: it was not answered so.
        """
        return cast("UpdateItemOutputTypeDef", self._call("UpdateItem", request))

    def _call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"{_VERSION}.{operation}"}
        unsigned = Unsigned("POST", "/", (), headers, orjson.dumps(request, default=_base64))
        address, region = self.endpoints.dynamodb(), self.endpoints.region
        with self.caller.send(address, unsigned, service="dynamodb", region=region) as answer:
            body = answer.read()
            checksum = answer.header("x-amz-crc32")
        if checksum is not None and checksum != str(zlib.crc32(body)):
            raise AnswerError(f"{operation}: the answer is not that of its checksum")
        fields = _fields(body)
        if answer.status != 200:
            raise _error(operation, answer.status, fields or {})
        if fields is None:
            raise AnswerError(f"{operation}: the answer is not JSON, or only half of it")
        return fields


def _base64(value: object) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    raise TypeError(type(value).__name__)


def _fields(body: bytes) -> dict[str, Any] | None:
    """An answer, the items in it with bytes as bytes; None where it is none."""
    try:
        fields = orjson.loads(body)
        if not isinstance(fields, dict):
            return None
        for name in ("Item", "Attributes"):
            if name in fields:
                fields[name] = {attribute: _value(value) for attribute, value in fields[name].items()}
    except (ValueError, TypeError, AttributeError):
        return None
    return fields


def _value(value: Mapping[str, Any]) -> dict[str, Any]:
    ((kind, content),) = value.items()
    match kind:
        case "B":
            content = base64.b64decode(content)
        case "BS":
            content = [base64.b64decode(part) for part in content]
        case "L":
            content = [_value(part) for part in content]
        case "M":
            content = {name: _value(part) for name, part in content.items()}
    return {kind: content}


def _error(operation: str, status: int, fields: Mapping[str, Any]) -> ServiceError:
    """Read `{"__type": "com.amazonaws.dynamodb.v20120810#Code", …}`; whatever else it is, the status says enough."""
    code = str(fields.get("__type") or "").rpartition("#")[2].partition(":")[0]
    message = str(fields.get("message") or fields.get("Message") or "")
    return ServiceError(operation, status, code or str(status), message, fields)
