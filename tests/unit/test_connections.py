"""HTTP over real sockets: connections that are reused, and connections that the server has closed."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from handler.aws import retries
from handler.aws.sdk import connections as module
from handler.aws.sdk.certificates import CertificateStore, require_certificates
from handler.aws.sdk.connections import Connections, HttpResponse, Timeouts
from handler.aws.sdk.endpoints import Endpoint
from handler.aws.sdk.errors import NetworkError, StaleError, TooManyHeadersError
from handler.errors import RetryableError, SettingsError
from handler.timing import Deadline
from tests.support.certificates import make_authority
from tests.support.raw_server import OK, Serve, raw_server, read_request

TIMEOUTS = Timeouts(connect=0.5, read=0.5)


@contextmanager
def connected(
    serve: Serve, context: ssl.SSLContext | None = None, environment: dict[str, str] | None = None
) -> Iterator[tuple[Connections, Endpoint]]:
    """Connections, and a server that serves them."""
    with raw_server(serve, context) as port:
        connections = Connections(TIMEOUTS, environment or {})
        yield connections, Endpoint("https" if context else "http", "127.0.0.1", port)
        connections.close()


def send(connections: Connections, endpoint: Endpoint, body: bytes = b"") -> HttpResponse:
    return connections.send(endpoint, "GET", "/", {"host": endpoint.authority, "content-length": str(len(body))}, body)


def read_all(response: HttpResponse, amount: int | None) -> None:
    while response.read(amount):
        pass


def get(connections: Connections, endpoint: Endpoint) -> bytes:
    with send(connections, endpoint) as response:
        return response.read()


def serve_ok(connection: socket.socket, _: int) -> None:
    while read_request(connection):
        connection.sendall(OK)


def test_a_connection_is_reused() -> None:
    numbers = []

    def serve(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            numbers.append(number)
            connection.sendall(OK)

    with connected(serve) as (connections, endpoint):
        assert [get(connections, endpoint) for _ in range(3)] == [b"ok"] * 3
    assert numbers == [0, 0, 0]


def test_a_closed_connection_is_detected_before_the_next_call() -> None:
    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(OK)

    with connected(serve) as (connections, endpoint):
        assert get(connections, endpoint) == b"ok"
        time.sleep(0.2)
        assert get(connections, endpoint) == b"ok"


def test_an_old_connection_is_not_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = []

    def serve(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            numbers.append(number)
            connection.sendall(OK)

    with connected(serve) as (connections, endpoint):
        get(connections, endpoint)
        monkeypatch.setattr(module, "MAX_IDLE_SECONDS", 0.05)
        time.sleep(0.1)
        get(connections, endpoint)
    assert numbers == [0, 1]


def test_the_number_of_idle_connections_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bucket is another host, so the number of hosts is not limited."""
    monkeypatch.setattr(module, "MAX_IDLE_CONNECTIONS", 2)
    numbers = []

    def serve(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            numbers.append(number)
            connection.sendall(OK)

    with connected(serve) as (connections, endpoint):
        names = [Endpoint("http", host, endpoint.port) for host in ("127.0.0.1", "localhost", "LOCALHOST")]
        for name in [*names, names[2], names[1], names[0]]:
            get(connections, name)
    assert numbers == [0, 1, 2, 2, 1, 3]


def close_at_the_second_request(connection: socket.socket, number: int) -> None:
    """Like a server while a client is frozen: the first connection fails when it is reused; later connections work."""
    if number > 0:
        serve_ok(connection, number)
        return
    read_request(connection)
    connection.sendall(OK)
    read_request(connection)


def test_a_stale_connection_is_a_stale_error() -> None:
    with connected(close_at_the_second_request) as (connections, endpoint):
        get(connections, endpoint)
        with pytest.raises(StaleError):
            get(connections, endpoint)
        assert get(connections, endpoint) == b"ok"


def test_a_stale_connection_is_replaced_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a pause, and even with too little time for another timeout."""
    monkeypatch.setattr(retries, "FIRST_BACKOFF_SECONDS", 60.0)
    with connected(close_at_the_second_request) as (connections, endpoint):
        get(connections, endpoint)
        start = time.monotonic()
        assert retries.attempt(lambda: get(connections, endpoint), Deadline(0.1)) == b"ok"
        assert time.monotonic() - start < 2


def test_a_new_connection_that_fails_is_a_network_error() -> None:
    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)

    with connected(serve) as (connections, endpoint):
        with pytest.raises(NetworkError) as caught:
            get(connections, endpoint)
        assert not isinstance(caught.value, StaleError)
        with pytest.raises(RetryableError, match="the network"):
            retries.attempt(lambda: get(connections, endpoint), Deadline(0.1))


def test_a_refused_connection_is_a_network_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(NetworkError, match=f"127.0.0.1:{port}: .*refused"):
        get(Connections(TIMEOUTS, {}), Endpoint("http", "127.0.0.1", port))


def serve_nothing(connection: socket.socket, _: int) -> None:
    while connection.recv(65536):
        pass


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_silent_server_ends_in_a_timeout(scheme: str) -> None:
    """While waiting for the response, and with TLS during the handshake."""
    with raw_server(serve_nothing) as port:
        start = time.monotonic()
        with pytest.raises(NetworkError, match="timed out"):
            get(Connections(TIMEOUTS, {}), Endpoint(scheme, "127.0.0.1", port))
        assert 0.4 < time.monotonic() - start < 5


def test_a_body_that_stalls_ends_in_a_timeout() -> None:
    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        serve_nothing(connection, 0)

    with connected(serve) as (connections, endpoint), pytest.raises(NetworkError, match="timed out"):
        get(connections, endpoint)


@pytest.mark.parametrize("amount", [None, 4, 100])
def test_a_truncated_body_is_a_network_error(amount: int | None) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    with (
        connected(serve) as (connections, endpoint),
        send(connections, endpoint) as response,
        pytest.raises(NetworkError, match="reading the response body"),
    ):
        read_all(response, amount)


@pytest.mark.parametrize(
    "garbage", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/1.1 200 " + b"OK" * 40_000]
)
def test_invalid_http_is_a_network_error(garbage: bytes) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(garbage)

    with connected(serve) as (connections, endpoint), pytest.raises(NetworkError):
        get(connections, endpoint)


@pytest.mark.parametrize("headers", [b"a: b\r\n" * 101, b"a: %s\r\n" % (b"b" * 65_536)])
def test_too_many_headers_are_an_error_of_their_own(headers: bytes) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + headers + b"Content-Length: 0\r\n\r\n")

    with connected(serve) as (connections, endpoint), pytest.raises(TooManyHeadersError):
        get(connections, endpoint)


def test_an_unread_body_closes_the_connection() -> None:
    closed = threading.Event()

    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99000000000\r\n\r\nbeginning")
        try:
            while connection.recv(65536):
                pass
        finally:
            closed.set()

    with connected(serve) as (connections, endpoint):
        with send(connections, endpoint) as response:
            assert response.length == 99_000_000_000
        assert closed.wait(5), "the connection is still open"


@pytest.mark.parametrize(
    "ending", [b"Content-Length: 0\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"]
)
def test_connections_are_reused_after_empty_and_chunked_bodies(ending: bytes) -> None:
    numbers = []

    def serve(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            numbers.append(number)
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + ending)

    with connected(serve) as (connections, endpoint):
        for _ in range(2):
            with send(connections, endpoint) as response:
                if response.length != 0:
                    assert response.read() == b"ok"
    assert numbers == [0, 0]


def test_connection_close_is_respected() -> None:
    numbers = []

    def serve(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            numbers.append(number)
            connection.sendall(OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))

    with connected(serve) as (connections, endpoint):
        assert [get(connections, endpoint) for _ in range(2)] == [b"ok"] * 2
    assert numbers == [0, 1]


def test_threads_get_their_own_responses() -> None:
    def echo(connection: socket.socket, _: int) -> None:
        while request := read_request(connection):
            body = request.partition(b"\r\n\r\n")[2]
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def call(number: int) -> bool:
        with send(connections, endpoint, b"%d" % number) as response:
            return response.read() == b"%d" % number

    with connected(echo) as (connections, endpoint), ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(400)))


# Certificates


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_a_custom_certificate_file_is_trusted(authority: tuple[Path, ssl.SSLContext], name: str) -> None:
    bundle, context = authority
    with connected(serve_ok, context, {name: str(bundle)}) as (connections, endpoint):
        assert [get(connections, endpoint) for _ in range(2)] == [b"ok"] * 2


def test_a_server_with_an_unknown_certificate_is_refused(authority: tuple[Path, ssl.SSLContext]) -> None:
    server = connected(serve_ok, authority[1])
    with server as (connections, endpoint), pytest.raises(NetworkError, match="certificate verify failed"):
        get(connections, endpoint)


def test_a_certificate_for_another_name_is_refused(authority: tuple[Path, ssl.SSLContext]) -> None:
    bundle, context = authority
    server = connected(serve_ok, context, {"AWS_CA_BUNDLE": str(bundle)})
    with server as (connections, endpoint), pytest.raises(NetworkError, match="certificate verify failed"):
        get(connections, Endpoint("https", "localhost", endpoint.port))


def test_a_missing_certificate_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"AWS_CA_BUNDLE is .*which is not a file"):
        require_certificates({"AWS_CA_BUNDLE": str(tmp_path / "no.pem")})


@pytest.mark.parametrize("packages_only", [False, True])
def test_without_default_certificates_those_of_the_system_or_a_package_are_loaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, packages_only: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    if packages_only:
        monkeypatch.setattr("handler.aws.sdk.certificates._SYSTEM_FILES", ())
    require_certificates({})
    assert ssl.create_default_context().cert_store_stats()["x509_ca"] == 0
    store = CertificateStore({})
    assert store.context().cert_store_stats()["x509_ca"] > 0
    assert store.load_remaining()
    assert store.context().cert_store_stats()["x509_ca"] > 50


@pytest.mark.parametrize("known", [True, False])
def test_remaining_certificates_are_loaded_when_those_of_aws_do_not_match(
    authority: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, known: bool
) -> None:
    bundle, context = authority
    of_aws, _ = make_authority(tmp_path, "Amazon Root CA 9")
    system = tmp_path / "system.pem"
    system.write_text(f"# Some\n{bundle.read_text() if known else ''}\n# AWS\n{of_aws.read_text()}")
    monkeypatch.setenv("SSL_CERT_FILE", str(system))
    assert CertificateStore({}).context().cert_store_stats()["x509_ca"] == 1
    with connected(serve_ok, context) as (connections, endpoint):
        if known:
            assert [get(connections, endpoint) for _ in range(2)] == [b"ok"] * 2
        else:
            with pytest.raises(NetworkError, match="certificate verify failed"):
                get(connections, endpoint)


def test_only_certificates_of_aws_are_loaded_for_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    of_aws, context = make_authority(tmp_path, "Amazon Root CA 9")
    monkeypatch.setenv("SSL_CERT_FILE", str(of_aws))
    with connected(serve_ok, context) as (connections, endpoint):
        assert get(connections, endpoint) == b"ok"


def test_a_system_without_certificates_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setattr("handler.aws.sdk.certificates._SYSTEM_FILES", ())
    monkeypatch.setattr("handler.aws.sdk.certificates._PACKAGE_FILES", ())
    with pytest.raises(SettingsError, match="set AWS_CA_BUNDLE"):
        require_certificates({})


def test_an_invalid_certificate_file_is_a_network_error(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("not a certificate")
    connections = Connections(TIMEOUTS, {"AWS_CA_BUNDLE": str(tmp_path / "no.pem")})
    with pytest.raises(NetworkError):
        get(connections, Endpoint("https", "127.0.0.1", 9))
