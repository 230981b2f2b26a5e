"""Answer a request for S3 Vectors that came through an ASGI server."""

import asyncio
from urllib.parse import parse_qs, quote

from infra.local.s3vectors import iam
from infra.local.s3vectors.asgi_types import Connection, Receive, Send
from infra.local.s3vectors.errors import S3VectorsError
from infra.local.s3vectors.limits import BODY_BYTES
from infra.local.s3vectors.service import Request, Response, S3Vectors, error_response


class _Disconnected(Exception):  # noqa: N818 - it is no error
    """The client left before it sent the whole body."""


async def answer(service: S3Vectors, connection: Connection, receive: Receive, send: Send) -> None:
    """Read a request, check what its caller may do, and answer it.

    Args:
        service: what answers it.
        connection: the request but for its body.
        receive: reads the body.
        send: sends the answer.
    """
    try:
        body = await _body(receive)
    except _Disconnected:
        return
    await _send(send, await _answer(service, connection, body))


async def _answer(service: S3Vectors, connection: Connection, body: bytes) -> Response:
    signed = _signed(connection)
    try:
        request = Request(iam.find_scope(signed), signed.method, connection["path"], signed.query, body)
        authorize = iam.authorizer(signed, body)
    except S3VectorsError as error:
        return error_response(error)
    # In a thread, so that a large put, which takes a tenth of a second, does not block the other services.
    return await asyncio.to_thread(service.answer, request, authorize)


def _signed(connection: Connection) -> iam.Signed:
    raw_path = connection.get("raw_path") or quote(connection["path"]).encode()
    query = parse_qs(connection.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    client = (connection.get("client") or ("127.0.0.1",))[0]
    is_secure = connection.get("scheme") == "https"
    return iam.Signed(connection["method"], raw_path.decode("latin-1"), query, connection["headers"], client, is_secure)


async def _body(receive: Receive) -> bytes:
    """The body; if it is larger than allowed, only the start of it (the rest is read and dropped)."""
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
