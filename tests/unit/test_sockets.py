"""Opening a connection: one deadline over DNS, all addresses of a name, the proxy and TLS."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from handler.aws import retries
from handler.aws.sdk import sockets
from handler.aws.sdk.connections import Connections, Timeouts
from handler.aws.sdk.endpoints import Endpoint
from handler.aws.sdk.errors import NetworkError
from handler.errors import RetryableError
from handler.timing import RESERVE_SECONDS, Deadline
from tests.support.raw_server import OK, raw_server, read_request


def serve_ok(connection: socket.socket, _: int) -> None:
    while read_request(connection):
        connection.sendall(OK)


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that answers no connection attempt: Linux drops them while the queue of a listening socket is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


@contextmanager
def refusing_port() -> Iterator[int]:
    with socket.socket() as bound:  # bound, so that no other process gets it, but not listening
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def answer_with(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Make every name have these addresses."""

    def getaddrinfo(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def send(port: int, timeouts: Timeouts, scheme: str = "http") -> int:
    endpoint = Endpoint(scheme, "s3.example", port)
    connections = Connections(timeouts, {})
    with closing(connections), connections.send(endpoint, "GET", "/", {"host": endpoint.authority}, b"") as response:
        return response.status


def test_eight_silent_addresses_take_as_long_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with silent_port() as port:
        answer_with(monkeypatch, *[("127.0.0.1", port)] * 8)
        start = time.monotonic()
        with pytest.raises(NetworkError, match=r"s3\.example:\d+: timed out"):
            send(port, Timeouts(0.5, 5))
        assert 0.4 < time.monotonic() - start < 0.9


def test_a_call_ends_within_the_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that begins just before the deadline."""
    with silent_port() as port:
        answer_with(monkeypatch, *[("127.0.0.1", port)] * 8)
        deadline = Deadline(0.05)
        with pytest.raises(RetryableError):
            retries.attempt(lambda: send(port, Timeouts(retries.CONNECT_SECONDS, retries.READ_SECONDS)), deadline)
        assert -deadline.left() < RESERVE_SECONDS


@pytest.mark.parametrize("silent", [1, 3])
def test_an_address_that_answers_is_found_behind_silent_ones(monkeypatch: pytest.MonkeyPatch, silent: int) -> None:
    with silent_port() as port, raw_server(serve_ok) as good:
        answer_with(monkeypatch, *[("127.0.0.1", port)] * silent, ("127.0.0.1", good))
        start = time.monotonic()
        assert send(good, Timeouts(2, 2)) == 200
        assert time.monotonic() - start < sockets.NEXT_ADDRESS_SECONDS * silent + 0.5


def test_addresses_that_refuse_or_have_no_route_are_skipped_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing_port() as port, raw_server(serve_ok) as good:
        answer_with(monkeypatch, ("127.0.0.1", port), ("255.255.255.255", port), ("127.0.0.1", good))
        start = time.monotonic()
        assert send(good, Timeouts(2, 2)) == 200
        assert time.monotonic() - start < sockets.NEXT_ADDRESS_SECONDS


def test_the_reason_of_the_last_address_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing_port() as port:
        answer_with(monkeypatch, *[("127.0.0.1", port)] * 2)
        with pytest.raises(NetworkError, match="refused"):
            send(port, Timeouts(2, 2))


def test_a_slow_connection_is_used_though_the_next_address_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server in another region may need longer than the pause before the next address."""
    with silent_port() as port, raw_server(serve_ok) as good:
        answer_with(monkeypatch, ("127.0.0.1", good), *[("127.0.0.1", port)] * 7)
        monkeypatch.setattr(sockets, "NEXT_ADDRESS_SECONDS", 0.0)
        assert send(good, Timeouts(2, 2)) == 200


def test_no_socket_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    with silent_port() as port, raw_server(serve_ok) as good:
        answer_with(monkeypatch, *[("127.0.0.1", port)] * 3, ("127.0.0.1", good))
        before = len(list(Path("/proc/self/fd").iterdir()))
        sockets.open_socket("s3.example", good, time.monotonic() + 5).close()
        with pytest.raises(TimeoutError):
            sockets.open_socket("s3.example", good, time.monotonic() + 0.1)
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_dns_lookup_that_hangs_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **__: object) -> None:
        ended.wait(10)
        raise OSError

    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start = time.monotonic()
    with pytest.raises(NetworkError, match=r"the DNS lookup of s3\.example timed out"):
        send(80, Timeouts(0.3, 5))
    assert time.monotonic() - start < 1
    ended.set()


def test_a_slow_dns_lookup_leaves_less_time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    with silent_port() as port:
        answer_with(monkeypatch, ("127.0.0.1", port))
        at_once = socket.getaddrinfo

        def slowly(*given: Any, **options: Any) -> Any:
            time.sleep(0.4)
            return at_once(*given, **options)

        monkeypatch.setattr(socket, "getaddrinfo", slowly)
        start = time.monotonic()
        with pytest.raises(NetworkError, match="timed out"):
            send(port, Timeouts(0.6, 5))
        assert time.monotonic() - start < 0.9


def test_an_unknown_name_is_a_network_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(NetworkError, match="Name or service not known"):
        send(80, Timeouts(2, 2))


def test_a_name_without_addresses_is_a_network_error(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch)
    with pytest.raises(NetworkError, match="the name has no address"):
        send(80, Timeouts(2, 2))


@pytest.mark.parametrize("tunnel", [b"", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_proxy_and_tls_share_the_deadline(monkeypatch: pytest.MonkeyPatch, tunnel: bytes) -> None:
    """The proxy is slow; then it is silent, or there is no TLS behind it."""

    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)
        time.sleep(0.3)
        connection.sendall(tunnel)
        while connection.recv(65536):
            pass

    with raw_server(serve) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        start = time.monotonic()
        with pytest.raises(NetworkError, match="timed out"):
            send(443, Timeouts(0.5, 5), "https")
        assert time.monotonic() - start < 0.8


def test_a_family_that_the_machine_lacks_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_server(serve_ok) as good:
        addresses = [(250, ("::1", good)), (socket.AF_INET, ("127.0.0.1", good))]
        monkeypatch.setattr(sockets, "_look_up", lambda *_: addresses)
        assert send(good, Timeouts(2, 2)) == 200
