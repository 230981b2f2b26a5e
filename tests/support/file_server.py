"""An HTTP server for files on 127.0.0.1 with configurable failures, which records the requests."""

import ssl
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

STALL_SECONDS = 20


@dataclass(frozen=True)
class Answer:
    """How to answer one request; by default as a correct server does.

    Attributes:
        status: replaces 200 or 206.
        body: replaces the file; ranges are then ignored.
        headers: replace the server's headers or are added to them; None removes a header.
        ranges: whether Range is supported.
        if_range: whether If-Range is supported.
        cut: close the connection after this many bytes of the body.
        stall: wait before closing the connection.
        longest: most bytes of a range to send.
        piece: bytes of each write.
    """

    status: int | None = None
    body: bytes | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    ranges: bool = True
    if_range: bool = True
    cut: int | None = None
    stall: bool = False
    longest: int | None = None
    piece: int = 1 << 16


@dataclass(frozen=True)
class Asked:
    """A request and its response.

    Attributes:
        path: the path of the request.
        headers: the headers of the request, with names in lower case.
        status: the status of the response.
        sent: number of bytes of the response's body.
    """

    path: str
    headers: Mapping[str, str]
    status: int
    sent: int


class FileServer:
    """Serves files within a `with` block: first with the given `answers` in order, then always with `usual`.

    The content is the same for every path, or a mapping of paths such as `/models/m.onnx`.
    """

    def __init__(self, content: bytes | Mapping[str, bytes], *answers: Answer, etag: str | None = '"one"') -> None:
        self.content = content
        self.etag = etag
        self.answers = deque(answers)
        self.usual = Answer()
        self.asked: list[Asked] = []
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = False  # closing the server waits for all threads
        self._scheme = "http"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def over_tls(self, context: ssl.SSLContext) -> Self:
        """Use TLS; call this before the `with` block."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "https"
        return self

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The server's URL without a trailing slash."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def ranges(self) -> list[str | None]:
        """The header Range of every request so far."""
        return [asked.headers.get("range") for asked in self.asked]


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = STALL_SECONDS
        disable_nagle_algorithm = True  # otherwise the body is delayed until the client acknowledges the headers

        def do_GET(self) -> None:
            answer = server.answers.popleft() if server.answers else server.usual
            asked = {name.lower(): value for name, value in self.headers.items()}
            status, body, headers = _answer(server, self.path, answer, asked)
            sent = memoryview(body)[: answer.cut]
            # Recorded before sending, because the client may continue before this thread does.
            server.asked.append(Asked(self.path, asked, status, len(sent)))
            self.send_response(status)
            for name, value in headers.items():
                if value is not None:
                    self.send_header(name, value)
            self.end_headers()
            if answer.cut is not None or headers.get("Content-Length") is None:
                self.close_connection = True
            try:
                for at in range(0, len(sent), answer.piece):
                    self.wfile.write(sent[at : at + answer.piece])
            except ConnectionError:  # the client closed the connection
                self.close_connection = True
            if answer.stall:
                server.released.wait(STALL_SECONDS)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    return Handler


def _answer(
    server: FileServer, path: str, answer: Answer, asked: Mapping[str, str]
) -> tuple[int, bytes, Mapping[str, str | None]]:
    """The status, body and headers of a response."""
    content = server.content if isinstance(server.content, bytes) else server.content.get(path)
    if content is None:
        return 404, b"", {"Content-Length": "0"}
    status, body = 200, content if answer.body is None else answer.body
    headers: dict[str, str | None] = {"Content-Type": "application/octet-stream", "ETag": server.etag}
    same = not answer.if_range or asked.get("if-range", server.etag) == server.etag
    if answer.ranges and answer.body is None and same and "range" in asked:
        begin = int(asked["range"].removeprefix("bytes=").rstrip("-"))
        whole = len(body)
        body = body[begin:][: answer.longest]
        status = 206 if body else 416
        headers["Content-Range"] = f"bytes {begin}-{begin + len(body) - 1}/{whole}" if body else f"bytes */{whole}"
    headers["Content-Length"] = str(len(body))
    return answer.status or status, body, headers | dict(answer.headers)
