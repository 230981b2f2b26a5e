"""A fake AWS that takes almost no time: it keeps uploads and discards results; its index is always the same.

python -m tests.bench.sink SOCKET_FD [DIMENSION]

It serves on an inherited socket until its standard input is closed. All other parts use the local AWS.
"""

import asyncio
import contextlib
import hashlib
import json
import math
import socket
import sys

from tests.bench.counting_proxy import receive

_KEPT = "/bench-uploads/"
_HITS = 12
_INDEX = {"indexName": "dropvec-0123456789abcdef0123456789abcdef"}
_objects: dict[str, bytes] = {}
_answers: dict[str, bytes] = {}


def answers(dimension: int) -> dict[str, bytes]:
    """By path, the answers of S3 Vectors: one index, whose every vector has this dimension."""
    numbers = [math.sin(number + 1) for number in range(dimension)]
    hits = [{"key": f"{n:064x}", "distance": n / 100, "metadata": _metadata(n)} for n in range(_HITS)]
    found = {
        "/ListIndexes": {"indexes": [_INDEX]},
        "/GetVectors": {"vectors": [{"key": "0" * 64, "data": {"float32": numbers}}]},
        "/QueryVectors": {"vectors": hits, "distanceMetric": "cosine"},
    }
    return {path: json.dumps(answer).encode() for path, answer in found.items()}


def _metadata(number: int) -> dict[str, object]:
    key = f"photos/2026/{number:06}.jpg"
    return {
        "bucket": "bench-uploads",
        "key": key,
        "format": "jpeg",
        "width": 4000,
        "height": 3000,
        "bytes": 4_000_000,
        "updated_at": 1_795_955_415,
        "labels": [f"a label of number {label}" for label in range(20)],
        "label_scores": [1 - label / 20 for label in range(20)],
        "source": f"s3://bench-uploads/{key}",
        "result": f"s3://bench-results/bench-uploads/{key}/{number:032x}-01234567.json",
        "etag": f"{number:032x}",
    }


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
        return _response(_answers.get(path, b"{}"), "Content-Type: application/x-amz-json-1.0")
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
    _answers.update(answers(int((sys.argv[2:] or ["0"])[0])))
    asyncio.run(_main(int(sys.argv[1])))
