"""A proxy in front of the local AWS that counts calls and their bytes, and can add latency to each call.

    python -m tests.bench.counting_proxy SOCKET_FD UPSTREAM_PORT LATENCY_MS

`GET /_counts` returns the counts, `DELETE /_counts` resets them. It serves on an inherited socket until its
standard input is closed.
"""

import asyncio
import contextlib
import json
import socket
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from infra.operate.prices import item_bytes, write_units

HOST = "127.0.0.1"
_LIMIT = 1 << 20  # bytes of a message's head
_S3 = {"GET": "GetObject", "PUT": "PutObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}


@dataclass
class Count:
    """Calls of one operation.

    Attributes:
        calls: number of calls.
        sent: bytes from the client, including heads.
        received: bytes to the client, including heads.
        write_units: DynamoDB write units of the items that were put.
        item_bytes: total size of these items.
    """

    calls: int = 0
    sent: int = 0
    received: int = 0
    write_units: int = 0
    item_bytes: int = 0


@dataclass(frozen=True)
class Message:
    """An HTTP request or response, unmodified."""

    line: str
    headers: Mapping[str, str]
    head: bytes
    body: bytes


@dataclass
class CountingProxy:
    """Forwards connections to a port of this machine and counts the calls.

    Attributes:
        upstream: the port.
        latency: seconds to add to each call.
        counts: operation to its count.
    """

    upstream: int
    latency: float
    counts: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward the calls of a connection, one after the other."""
        target: asyncio.StreamWriter | None = None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await receive(reader, writer, bodyless=False)
                if request.line.split()[1].startswith("/_counts"):
                    writer.write(self._counts_response(request.line))
                    continue
                if target is None:
                    source, target = await asyncio.open_connection(HOST, self.upstream, limit=_LIMIT)
                target.write(request.head + request.body)
                response = await receive(source, None, bodyless=request.line.startswith("HEAD "))
                await asyncio.sleep(self.latency)
                writer.write(response.head + response.body)
                await writer.drain()
                self._count(request, response)
        for stream in (writer, target):
            if stream is not None:
                stream.close()

    def _counts_response(self, line: str) -> bytes:
        if line.startswith("DELETE"):
            self.counts.clear()
        body = json.dumps({name: asdict(count) for name, count in self.counts.items()}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def _count(self, request: Message, response: Message) -> None:
        count = self.counts[operation(request)]
        count.calls += 1
        count.sent += len(request.head) + len(request.body)
        count.received += len(response.head) + len(response.body)
        if request.headers.get("x-amz-target", "").endswith(".PutItem"):
            item: dict[str, dict[str, Any]] = json.loads(request.body)["Item"]
            count.write_units += write_units(item)
            count.item_bytes += item_bytes(item)


def operation(request: Message) -> str:
    """The AWS operation of a call."""
    target = request.headers.get("x-amz-target")
    if target:
        return target.partition(".")[2]
    method, path = request.line.split()[:2]
    _, _, key = path.partition("?")[0].strip("/").partition("/")
    if not key:
        return "ListObjects" if method == "GET" else f"{method} bucket"
    return _S3.get(method, method)


async def receive(reader: asyncio.StreamReader, client: asyncio.StreamWriter | None, *, bodyless: bool) -> Message:
    """Read a message; a client that sends `Expect: 100-continue` gets that response here."""
    head = await reader.readuntil(b"\r\n\r\n")
    line, *lines = head[:-4].decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (entry.partition(":") for entry in lines)}
    if client is not None and headers.get("expect", "").lower() == "100-continue":
        client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        kept = [entry for entry in lines if not entry.lower().startswith("expect:")]
        head = "\r\n".join([line, *kept, "", ""]).encode("latin-1")
    has_no_body = bodyless or line.split()[1] in {"204", "304"}
    return Message(line, headers, head, b"" if has_no_body else await _body(reader, headers))


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """Read a body without decoding its chunks."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    parts = []
    while True:
        size = await reader.readuntil(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        parts += [size, await reader.readexactly(length)] if length else [size]
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n" and not length:
            parts.append(line)  # a trailer
        parts.append(b"\r\n")
        if not length:
            return b"".join(parts)


async def _main(descriptor: int, upstream: int, latency_ms: float) -> None:
    proxy = CountingProxy(upstream, latency_ms / 1000)
    listener = socket.socket(fileno=descriptor)
    server = await asyncio.start_server(proxy.serve, sock=listener, limit=_LIMIT)
    async with server:
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
