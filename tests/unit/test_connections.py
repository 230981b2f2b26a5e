"""HTTP as it goes over the wire: connections that are kept, and those that are gone."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from handler.aws import clients as aws
from handler.aws.sdk import connections as module
from handler.aws.sdk.certificates import Trust, check_bundle
from handler.aws.sdk.connections import Answer, Connections, Timeouts
from handler.aws.sdk.endpoints import Address
from handler.aws.sdk.errors import NetworkError, StaleError
from handler.errors import RetryableError, SettingsError
from handler.timing import Deadline
from tests.support.certificates import make_authority
from tests.support.raw_server import OK, Serve, raw_server, read_request

TIMEOUTS = Timeouts(connect=0.5, read=0.5)


@contextmanager
def connected(
    serve: Serve, context: ssl.SSLContext | None = None, environment: dict[str, str] | None = None
) -> Iterator[tuple[Connections, Address]]:
    """Connections, and a server to try them on."""
    with raw_server(serve, context) as port:
        connections = Connections(TIMEOUTS, environment or {})
        yield connections, Address("https" if context else "http", "127.0.0.1", port)
        connections.close()


def send(connections: Connections, address: Address, body: bytes = b"") -> Answer:
    return connections.send(address, "GET", "/", {"host": address.authority, "content-length": str(len(body))}, body)


def read_all(answer: Answer, amount: int | None) -> None:
    while answer.read(amount):
        pass


def ask(connections: Connections, address: Address) -> bytes:
    with send(connections, address) as answer:
        return answer.read()


def polite(connection: socket.socket, _: int) -> None:
    while read_request(connection):
        connection.sendall(OK)


def test_a_connection_is_kept_for_the_next_call() -> None:
    numbers = []

    def serve(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            numbers.append(number)
            connection.sendall(OK)

    with connected(serve) as (connections, address):
        assert [ask(connections, address) for _ in range(3)] == [b"ok"] * 3
    assert numbers == [0, 0, 0]


def test_a_server_that_hung_up_meanwhile_is_noticed_before_the_next_call() -> None:
    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(OK)

    with connected(serve) as (connections, address):
        assert ask(connections, address) == b"ok"
        time.sleep(0.2)
        assert ask(connections, address) == b"ok"


def test_an_old_connection_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = []

    def serve(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            numbers.append(number)
            connection.sendall(OK)

    with connected(serve) as (connections, address):
        ask(connections, address)
        monkeypatch.setattr(module, "MAX_IDLE_SECONDS", 0.05)
        time.sleep(0.1)
        ask(connections, address)
    assert numbers == [0, 1]


def test_no_more_connections_are_kept_than_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many servers there are: every bucket is a host of its own."""
    monkeypatch.setattr(module, "MAX_IDLE_CONNECTIONS", 2)
    numbers = []

    def serve(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            numbers.append(number)
            connection.sendall(OK)

    with connected(serve) as (connections, address):
        names = [Address("http", host, address.port) for host in ("127.0.0.1", "localhost", "LOCALHOST")]
        for name in [*names, names[2], names[1], names[0]]:
            ask(connections, name)
    assert numbers == [0, 1, 2, 2, 1, 3]


def hangs_up_on_the_second_request(connection: socket.socket, number: int) -> None:
    """What a frozen client meets: the connection looks well until it is used. The next connections are."""
    if number > 0:
        polite(connection, number)
        return
    read_request(connection)
    connection.sendall(OK)
    read_request(connection)


def test_a_connection_found_dead_is_told_apart() -> None:
    with connected(hangs_up_on_the_second_request) as (connections, address):
        ask(connections, address)
        with pytest.raises(StaleError):
            ask(connections, address)
        assert ask(connections, address) == b"ok"


def test_a_connection_found_dead_is_replaced_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a pause, and without asking whether there is time for another time-out."""
    monkeypatch.setattr(aws, "FIRST_BACKOFF_SECONDS", 60.0)
    with connected(hangs_up_on_the_second_request) as (connections, address):
        ask(connections, address)
        start = time.monotonic()
        assert aws.attempt(lambda: ask(connections, address), Deadline(0.1)) == b"ok"
        assert time.monotonic() - start < 2


def test_a_new_connection_that_fails_is_a_fault_like_any_other() -> None:
    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)

    with connected(serve) as (connections, address):
        with pytest.raises(NetworkError) as caught:
            ask(connections, address)
        assert not isinstance(caught.value, StaleError)
        with pytest.raises(RetryableError, match="the network"):
            aws.attempt(lambda: ask(connections, address), Deadline(0.1))


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(NetworkError, match=f"127.0.0.1:{port}: .*refused"):
        ask(Connections(TIMEOUTS, {}), Address("http", "127.0.0.1", port))


def silent(connection: socket.socket, _: int) -> None:
    while connection.recv(65536):
        pass


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_silence_ends_with_a_time_out(scheme: str) -> None:
    """Of the answer; and of the handshake, where TLS is spoken to what does not answer."""
    with raw_server(silent) as port:
        start = time.monotonic()
        with pytest.raises(NetworkError, match="timed out"):
            ask(Connections(TIMEOUTS, {}), Address(scheme, "127.0.0.1", port))
        assert 0.4 < time.monotonic() - start < 5


def test_a_body_that_stops_ends_with_a_time_out() -> None:
    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        silent(connection, 0)

    with connected(serve) as (connections, address), pytest.raises(NetworkError, match="timed out"):
        ask(connections, address)


@pytest.mark.parametrize("amount", [None, 4, 100])
def test_a_body_that_is_cut_is_a_fault(amount: int | None) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    with (
        connected(serve) as (connections, address),
        send(connections, address) as answer,
        pytest.raises(NetworkError, match="the answer's body"),
    ):
        read_all(answer, amount)


@pytest.mark.parametrize(
    "garbage", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200]
)
def test_what_is_no_http_is_a_fault(garbage: bytes) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(garbage)

    with connected(serve) as (connections, address), pytest.raises(NetworkError):
        ask(connections, address)


def test_a_body_that_is_not_wanted_is_not_read() -> None:
    gone = threading.Event()

    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99000000000\r\n\r\nbeginning")
        try:
            while connection.recv(65536):
                pass
        finally:
            gone.set()

    with connected(serve) as (connections, address):
        with send(connections, address) as answer:
            assert answer.length == 99_000_000_000
        assert gone.wait(5), "the connection is still open"


@pytest.mark.parametrize(
    "ending", [b"Content-Length: 0\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"]
)
def test_empty_and_chunked_bodies_end_where_they_end(ending: bytes) -> None:
    numbers = []

    def serve(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            numbers.append(number)
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + ending)

    with connected(serve) as (connections, address):
        for _ in range(2):
            with send(connections, address) as answer:
                if answer.length != 0:
                    assert answer.read() == b"ok"
    assert numbers == [0, 0]


def test_an_answer_that_says_it_is_the_last_is() -> None:
    numbers = []

    def serve(connection: socket.socket, number: int) -> None:
        while read_request(connection):
            numbers.append(number)
            connection.sendall(OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))

    with connected(serve) as (connections, address):
        assert [ask(connections, address) for _ in range(2)] == [b"ok"] * 2
    assert numbers == [0, 1]


def test_several_threads_get_their_own_answers() -> None:
    def echo(connection: socket.socket, _: int) -> None:
        while request := read_request(connection):
            body = request.partition(b"\r\n\r\n")[2]
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def call(number: int) -> bool:
        with send(connections, address, b"%d" % number) as answer:
            return answer.read() == b"%d" % number

    with connected(echo) as (connections, address), ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(400)))


# Certificates


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_a_bundle_of_one_s_own_is_trusted(authority: tuple[Path, ssl.SSLContext], name: str) -> None:
    bundle, context = authority
    with connected(polite, context, {name: str(bundle)}) as (connections, address):
        assert [ask(connections, address) for _ in range(2)] == [b"ok"] * 2


def test_a_server_that_nobody_vouches_for_is_refused(authority: tuple[Path, ssl.SSLContext]) -> None:
    server = connected(polite, authority[1])
    with server as (connections, address), pytest.raises(NetworkError, match="certificate verify failed"):
        ask(connections, address)


def test_a_server_of_another_name_is_refused(authority: tuple[Path, ssl.SSLContext]) -> None:
    bundle, context = authority
    server = connected(polite, context, {"AWS_CA_BUNDLE": str(bundle)})
    with server as (connections, address), pytest.raises(NetworkError, match="certificate verify failed"):
        ask(connections, Address("https", "localhost", address.port))


def test_a_bundle_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"AWS_CA_BUNDLE is .*no file is there"):
        check_bundle({"AWS_CA_BUNDLE": str(tmp_path / "no.pem")})


@pytest.mark.parametrize("packages_only", [False, True])
def test_where_python_finds_no_certificates_the_system_s_or_a_package_s_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, packages_only: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    if packages_only:
        monkeypatch.setattr("handler.aws.sdk.certificates._SYSTEM", ())
    check_bundle({})
    assert ssl.create_default_context().cert_store_stats()["x509_ca"] == 0
    trust = Trust({})
    assert trust.context().cert_store_stats()["x509_ca"] > 0
    assert trust.widen()
    assert trust.context().cert_store_stats()["x509_ca"] > 50


@pytest.mark.parametrize("known", [True, False])
def test_the_rest_of_a_system_s_certificates_is_read_when_aws_s_do_not_do(
    authority: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, known: bool
) -> None:
    bundle, context = authority
    aws_s, _ = make_authority(tmp_path, "Amazon Root CA 9")
    system = tmp_path / "system.pem"
    system.write_text(f"# Some\n{bundle.read_text() if known else ''}\n# AWS\n{aws_s.read_text()}")
    monkeypatch.setenv("SSL_CERT_FILE", str(system))
    assert Trust({}).context().cert_store_stats()["x509_ca"] == 1
    with connected(polite, context) as (connections, address):
        if known:
            assert [ask(connections, address) for _ in range(2)] == [b"ok"] * 2
        else:
            with pytest.raises(NetworkError, match="certificate verify failed"):
                ask(connections, address)


def test_aws_s_certificates_alone_are_read_for_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aws_s, context = make_authority(tmp_path, "Amazon Root CA 9")
    monkeypatch.setenv("SSL_CERT_FILE", str(aws_s))
    with connected(polite, context) as (connections, address):
        assert ask(connections, address) == b"ok"


def test_no_certificates_anywhere_are_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setattr("handler.aws.sdk.certificates._SYSTEM", ())
    monkeypatch.setattr("handler.aws.sdk.certificates._PACKAGED", ())
    with pytest.raises(SettingsError, match="set AWS_CA_BUNDLE"):
        check_bundle({})


def test_a_bundle_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("not a certificate")
    connections = Connections(TIMEOUTS, {"AWS_CA_BUNDLE": str(tmp_path / "no.pem")})
    with pytest.raises(NetworkError):
        ask(connections, Address("https", "127.0.0.1", 9))
