"""The stack's HTTP API at an address of its own: http://127.0.0.1:PORT/… is the Function URL of the local AWS.

The local AWS answers a Function URL below a path that begins with its id. Requests on a second port get this path
here, so that the API and the gallery have an origin of their own. The limit of an event is Lambda's.
"""

import json
from typing import Any
from urllib.parse import quote

from infra.local.s3vectors.asgi_types import App, Connection, Receive, Send

# Lambda's limit of a synchronous event, in which the body is base64:
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_EVENT_BYTES = 6 * 1024 * 1024
MAX_BODY_BYTES = MAX_EVENT_BYTES * 3 // 4


def with_function_url(app: App, port: int) -> App:
    """An application that answers requests to this port as the Function URL.

    Args:
        app: the local AWS.
        port: of the HTTP API.
    """

    async def application(connection: Connection, receive: Receive, send: Send) -> None:
        if connection["type"] != "http" or connection["server"][1] != port:
            await app(connection, receive, send)
            return
        body = await _body(receive)
        if body is None:
            return
        if len(body) > MAX_BODY_BYTES:
            limit = f"Request must be smaller than {MAX_EVENT_BYTES} bytes for the InvokeFunction operation"
            await _refuse(send, 413, limit)
            return
        identifier = _identifier()
        if identifier is None:
            await _refuse(send, 503, "no stack with an HTTP API is deployed")
            return
        start = f"/_aws/lambda-url/{identifier}"
        raw_path = connection.get("raw_path") or quote(connection["path"]).encode()
        moved = {"path": start + connection["path"], "raw_path": start.encode() + raw_path}
        await app({**connection, **moved}, _replay(body), send)

    return application


def _identifier() -> str | None:
    """The id of the only Function URL; None without one."""
    from ministack.services import lambda_svc  # noqa: PLC0415 - imported by the server when a function is deployed

    for _, config in lambda_svc._function_urls.all_items():  # noqa: SLF001 - see infra/local/s3vectors/cloudformation.py
        url: str = config["FunctionUrl"]
        return url.removeprefix("https://").partition(".")[0]
    return None


async def _body(receive: Receive) -> bytes | None:
    """The body; of one that is too large only the start, and None if the client has left."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if size <= MAX_BODY_BYTES:
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        if not message.get("more_body", False):
            return b"".join(chunks)


def _replay(body: bytes) -> Receive:
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps({"Message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
