"""The stand-in as a whole: calls in, answers out, over HTTP's terms but without a socket."""

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock

import orjson

from infra.local.s3vectors.buckets import Scope
from infra.local.s3vectors.errors import (
    InternalServerError,
    S3VectorsError,
    SerializationError,
    UnknownOperationError,
    ValidationError,
)
from infra.local.s3vectors.fields import Fields, Json
from infra.local.s3vectors.limits import BODY_BYTES
from infra.local.s3vectors.operations import OPERATIONS
from infra.local.s3vectors.references import Permission
from infra.local.s3vectors.state import State

_LOG = logging.getLogger(__name__)
_TAGS = "/tags/"
_TAG_OPERATIONS = {"GET": "ListTagsForResource", "POST": "TagResource", "DELETE": "UntagResource"}


@dataclass(frozen=True)
class Request:
    """A request that arrived.

    Attributes:
        scope: the caller's account, and the region of the signature.
        method: of HTTP.
        path: decoded, without the query.
        query: the values of each parameter.
        body: all of it, or at least one byte more than is allowed.
    """

    scope: Scope
    method: str
    path: str
    query: Mapping[str, list[str]]
    body: bytes


@dataclass(frozen=True)
class Response:
    """What is answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Call:
    """A call of an operation.

    Attributes:
        operation: such as `PutVectors`.
        scope: the caller's account and region.
        members: of its input, by name.
    """

    operation: str
    scope: Scope
    members: Json


Proceed = Callable[[], Json]
Intercept = Callable[[Call, Proceed], Json]
Authorize = Callable[[Permission], None]


def proceed_with(_call: Call, proceed: Proceed) -> Json:
    """Let every call through."""
    return proceed()


def allow_all(_permission: Permission) -> None:
    """Allow everything to everyone."""


@dataclass
class S3Vectors:
    """Amazon S3 Vectors in memory; all of it is gone with the process. Safe to use from several threads.

    Args:
        intercept: for tests: called for each call with a function that does it. It may raise an S3VectorsError
            instead of calling that function, or afterwards (a write whose answer is lost), or may call it later.
    """

    intercept: Intercept = proceed_with
    _state: State = field(default_factory=State, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def call(self, call: Call) -> Json:
        """Do what a call asks for.

        Returns:
            The members of the output. Vectors are float32 arrays, distances float32.

        Raises:
            S3VectorsError: it is refused.
        """
        operation = OPERATIONS.get(call.operation)
        if operation is None:
            raise UnknownOperationError(f"the local S3 Vectors does not know the operation {call.operation}")
        fields = Fields(call.members)
        fields.check_names(operation.members)

        def proceed() -> Json:
            with self._lock:
                return operation.run(self._state, call.scope, fields)

        return self.intercept(call, proceed)

    def answer(self, request: Request, authorize: Authorize = allow_all) -> Response:
        """Answer a request.

        Args:
            request: the request.
            authorize: raises S3VectorsError if the caller lacks a permission.
        """
        try:
            call = read_call(request)
            for permission in permissions(call):
                authorize(permission)
            return _response(200, self.call(call))
        except S3VectorsError as error:
            return error_response(error)
        except Exception:  # noqa: BLE001 - a defect of the stand-in is the client's error 500
            _LOG.exception("a request to the local S3 Vectors failed: %s %s", request.method, request.path)
            return error_response(InternalServerError("Internal server error"))


def read_call(request: Request) -> Call:
    """The call that a request makes.

    Raises:
        S3VectorsError: no operation has this method and path, or the body is too large or not a JSON object.
    """
    if len(request.body) > BODY_BYTES:
        raise ValidationError("Request body exceeds max allowed size")
    members = _json_object(request.body)
    if request.path.startswith(_TAGS) and request.method in _TAG_OPERATIONS:
        members["resourceArn"] = request.path.removeprefix(_TAGS)
        if request.method == "DELETE":
            members["tagKeys"] = request.query.get("tagKeys", [])
        return Call(_TAG_OPERATIONS[request.method], request.scope, members)
    operation = request.path.strip("/")
    if request.method != "POST" or operation not in OPERATIONS:
        raise UnknownOperationError(f"the local S3 Vectors does not know {request.method} {request.path}")
    return Call(operation, request.scope, members)


def permissions(call: Call) -> list[Permission]:
    """The permissions that the caller needs.

    Raises:
        S3VectorsError: the call does not identify a bucket or index.
    """
    return OPERATIONS[call.operation].needs(call.scope, Fields(call.members))


def _json_object(body: bytes) -> Json:
    try:
        value = orjson.loads(body or b"{}")
    except ValueError:
        raise SerializationError("the body is not valid JSON") from None
    if not isinstance(value, dict):
        raise SerializationError("the body is not a JSON object")
    return value


def _response(status: int, members: Json, more_headers: Mapping[str, str] | None = None) -> Response:
    headers = {"content-type": "application/json", "x-amzn-requestid": str(uuid.uuid4()), **(more_headers or {})}
    return Response(status, headers, orjson.dumps(members, option=orjson.OPT_SERIALIZE_NUMPY))


def error_response(error: S3VectorsError) -> Response:
    """The response for an error."""
    members: Json = {"message": error.message}
    if error.fields:
        members["fieldList"] = [{"path": one.path, "message": one.message} for one in error.fields]
    return _response(error.status, members, {"x-amzn-errortype": error.code})
