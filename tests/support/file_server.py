"""A real HTTP server for one file on 127.0.0.1, that fails as it is told to, and remembers what it was asked."""

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
    """How one request is answered: as it should be, but for what is set.

    Attributes:
        status: another one than 200 or 206.
        body: what is sent in the file's place; then no range of it.
        headers: instead of, or beside, the server's own; None: left out.
        ranges: whether it heeds Range.
        if_range: whether it heeds If-Range.
        cut: body bytes after which the connection is closed.
        stall: whether it falls silent there first.
        longest: bytes of a range that it sends at most.
        piece: bytes that it sends at once.
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
    """A request as it came, and its answer.

    Attributes:
        path: of the request line.
        headers: their names in lower case.
        status: of the answer.
        sent: bytes of the answer's body.
    """

    path: str
    headers: Mapping[str, str]
    status: int
    sent: int


class FileServer:
    """Serves files while entered; `answers` are used up first, then it gives `usual` ones.

    Its content is the same under every path, or in a mapping by path, `/models/m.onnx` for example.
    """

    def __init__(self, content: bytes | Mapping[str, bytes], *answers: Answer, etag: str | None = '"one"') -> None:
        self.content = content
        self.etag = etag
        self.answers = deque(answers)
        self.usual = Answer()
        self.asked: list[Asked] = []
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = False  # closing waits for every one of them
        self._scheme = "http"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def over_tls(self, context: ssl.SSLContext) -> Self:
        """Speak TLS; to be said before it is entered."""
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
        """Without a slash at its end."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def ranges(self) -> list[str | None]:
        """The Range of every request so far."""
        return [asked.headers.get("range") for asked in self.asked]


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = STALL_SECONDS
        disable_nagle_algorithm = True  # else a body waits until its header is acknowledged

        def do_GET(self) -> None:
            answer = server.answers.popleft() if server.answers else server.usual
            asked = {name.lower(): value for name, value in self.headers.items()}
            status, body, headers = _answer(server, self.path, answer, asked)
            sent = memoryview(body)[: answer.cut]
            # Noted first: the client may have all of it before this thread comes to its next line.
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
            except ConnectionError:  # the client has heard enough
                self.close_connection = True
            if answer.stall:
                server.released.wait(STALL_SECONDS)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            pass

    return Handler


def _answer(
    server: FileServer, path: str, answer: Answer, asked: Mapping[str, str]
) -> tuple[int, bytes, Mapping[str, str | None]]:
    """Status, body and headers."""
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
