"""S3 Vectors in front of the local AWS's own application: its requests are answered here, all others there."""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, quote

from infra.local.s3vectors import iam
from infra.local.s3vectors.errors import S3VectorsError
from infra.local.s3vectors.limits import BODY_BYTES
from infra.local.s3vectors.service import Request, Response, S3Vectors, error_response

Connection = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]  # of the three above; servers give them names of their own

# All services share one endpoint; the signature names the service.
_SIGNED_FOR_S3_VECTORS = re.compile(rb"Credential=[^/]+/[^/]+/[^/]+/s3vectors/aws4_request")


class _Disconnected(Exception):  # noqa: N818 - it is no error
    """The client left before it sent the whole body."""


def with_s3vectors(app: App, service: S3Vectors) -> App:
    """An ASGI application that answers requests signed for S3 Vectors itself.

    Args:
        app: answers everything else.
        service: what answers them.
    """

    async def application(scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _SIGNED_FOR_S3_VECTORS.search(_header(scope, b"authorization")):
            await app(scope, receive, send)
            return
        try:
            body = await _body(receive)
        except _Disconnected:
            return
        await _send(send, await _answer(service, scope, body))

    return application


async def _answer(service: S3Vectors, scope: Connection, body: bytes) -> Response:
    signed = _signed(scope)
    try:
        request = Request(iam.find_scope(signed), signed.method, scope["path"], signed.query, body)
        authorize = iam.authorizer(signed, body)
    except S3VectorsError as error:
        return error_response(error)
    # In a thread: a large put takes a tenth of a second, and the other services answer meanwhile.
    return await asyncio.to_thread(service.answer, request, authorize)


def _signed(scope: Connection) -> iam.Signed:
    raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    client = (scope.get("client") or ("127.0.0.1",))[0]
    is_secure = scope.get("scheme") == "https"
    return iam.Signed(scope["method"], raw_path.decode("latin-1"), query, scope["headers"], client, is_secure)


def _header(scope: Connection, name: bytes) -> bytes:
    found: bytes = next((value for key, value in scope["headers"] if key.lower() == name), b"")
    return found


async def _body(receive: Receive) -> bytes:
    """The body, or its beginning where it is larger than allowed; the rest is read and dropped."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        if size <= BODY_BYTES:
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _send(send: Send, response: Response) -> None:
    headers = {**response.headers, "content-length": str(len(response.body))}
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": encoded})
    await send({"type": "http.response.body", "body": response.body})
