"""A TCP server on 127.0.0.1 whose connections are served by a function of the test."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Serve = Callable[[socket.socket, int], None]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def read_request(connection: socket.socket) -> bytes:
    """Read one request, head and body; empty at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def raw_server(serve: Serve, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Yield the port of a server that calls `serve` in a thread for each connection, with the connection's number.

    An `OSError` on a connection, for example because the client closed it, ends only its thread.
    """
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []

    def run(connection: socket.socket, number: int) -> None:
        with suppress(OSError), connection:
            wrapped = context.wrap_socket(connection, server_side=True) if context else connection
            with wrapped:
                serve(wrapped, number)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                connections.append(connection)
                threads.append(threading.Thread(target=run, args=(connection, len(threads))))
                threads[-1].start()

    listening = socket.create_server(("127.0.0.1", 0))
    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        acceptor.join()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
