"""A fake S3 and DynamoDB for runs of many thousands of images: it keeps uploads and discards results.

python -m tests.bench.sink SOCKET_FD

It serves on an inherited socket until its standard input is closed. All other parts use the local AWS.
"""

import asyncio
import contextlib
import hashlib
import socket
import sys

from tests.bench.counting_proxy import receive

_KEPT = "/bench-uploads/"
_objects: dict[str, bytes] = {}


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            request = await receive(reader, writer, bodyless=False)
            method, path = request.line.split()[:2]
            writer.write(_handle(method, path.partition("?")[0], request.body))
            await writer.drain()
    writer.close()


def _handle(method: str, path: str, body: bytes) -> bytes:
    if method == "POST":
        return _response(b"{}", "Content-Type: application/x-amz-json-1.0")
    if method == "PUT":
        if path.startswith(_KEPT):
            _objects[path] = body
        return _response(b"", f'ETag: "{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')
    data = _objects[path]
    return _response(data, f'ETag: "{hashlib.md5(data, usedforsecurity=False).hexdigest()}"')


def _response(body: bytes, header: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\n{header}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def _main(descriptor: int) -> None:
    server = await asyncio.start_server(_serve, sock=socket.socket(fileno=descriptor), limit=1 << 20)
    async with server:
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
