"""Proxies: chosen as botocore chooses them, and really gone through."""

import base64
import os
import socket
import ssl
from pathlib import Path

import pytest
from botocore.utils import get_environ_proxies

from handler.aws.sdk.connections import Connections, Timeouts
from handler.aws.sdk.endpoints import Address
from handler.aws.sdk.errors import NetworkError
from handler.aws.sdk.proxies import proxy_for
from handler.errors import SettingsError
from tests.support.certificates import make_authority
from tests.support.raw_server import OK, raw_server, read_request

TIMEOUTS = Timeouts(connect=2, read=2)
S3 = Address("https", "uploads.s3.us-east-1.amazonaws.com", 443)
LOCAL = Address("http", "127.0.0.1", 4566)


@pytest.fixture
def unproxied(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"HTTPS_PROXY": "http://proxy.example:3128"},
        {"https_proxy": "http://proxy.example:3128", "HTTPS_PROXY": "http://another.example:3128"},
        {"HTTP_PROXY": "http://proxy.example:3128"},
        {"HTTPS_PROXY": "http://proxy.example:3128", "HTTP_PROXY": "http://two.example:1", "NO_PROXY": "127.0.0.1"},
        {"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": ".amazonaws.com"},
        {"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": "amazonaws.com.cn, example.com"},
        {"HTTPS_PROXY": "http://proxy.example:3128", "no_proxy": "*"},
        {"HTTPS_PROXY": ""},
    ],
)
def test_the_proxy_is_the_one_that_botocore_takes(unproxied: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        unproxied.setenv(name, value)
    for address in (S3, LOCAL):
        theirs = get_environ_proxies(f"{address.scheme}://{address.authority}/").get(address.scheme)
        ours = proxy_for(address)
        assert (f"http://{ours.host}:{ours.port}" if ours else None) == (theirs or None)


@pytest.mark.parametrize("url", ["proxy.example:3128", "//proxy.example:3128", "http://proxy.example:3128/"])
def test_a_proxy_may_be_named_in_short(unproxied: pytest.MonkeyPatch, url: str) -> None:
    unproxied.setenv("HTTPS_PROXY", url)
    assert proxy_for(S3) == ("proxy.example", 3128, {})


@pytest.mark.parametrize(
    "url", ["https://user:hush@proxy.example:3128", "socks5://proxy.example", "http://", "http://a:b"]
)
def test_a_proxy_that_cannot_be_used_is_told(unproxied: pytest.MonkeyPatch, url: str) -> None:
    unproxied.setenv("HTTPS_PROXY", url)
    with pytest.raises(SettingsError, match="HTTPS_PROXY") as caught:
        proxy_for(S3)
    assert "hush" not in str(caught.value)


CREDENTIALS = base64.b64encode(b"us er:pass@word")


def test_plain_http_goes_through_with_the_whole_url(unproxied: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket, _: int) -> None:
        while request := read_request(connection):
            heard.append(request)
            connection.sendall(OK)

    with raw_server(serve) as port:
        unproxied.setenv("HTTP_PROXY", f"http://us%20er:pass%40word@127.0.0.1:{port}")
        connections = Connections(TIMEOUTS, {})
        address = Address("http", "s3.example", 8080)
        for _ in range(2):
            with connections.send(address, "GET", "/a?b=c", {"host": address.authority}, b"") as answer:
                assert answer.read() == b"ok"
        connections.close()
    for request in heard:
        assert request.startswith(b"GET http://s3.example:8080/a?b=c HTTP/1.1\r\n")
        assert b"\r\nhost: s3.example:8080\r\n" in request
        assert b"Proxy-Authorization: Basic " + CREDENTIALS in request


def test_tls_goes_through_a_tunnel(unproxied: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle, context = make_authority(tmp_path)
    heard: list[bytes] = []

    def serve(connection: socket.socket, _: int) -> None:
        heard.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(connection, server_side=True) as inside:
            talk(inside)

    def talk(inside: ssl.SSLSocket) -> None:
        while request := read_request(inside):
            heard.append(request)
            inside.sendall(OK)

    with raw_server(serve) as port:
        unproxied.setenv("HTTPS_PROXY", f"http://us%20er:pass%40word@127.0.0.1:{port}")
        connections = Connections(TIMEOUTS, {"AWS_CA_BUNDLE": str(bundle)})
        address = Address("https", "127.0.0.1", 443)
        for _ in range(2):
            with connections.send(address, "GET", "/a", {"host": address.authority}, b"") as answer:
                assert answer.read() == b"ok"
        connections.close()
    tunnel, *requests = heard
    assert tunnel.startswith(b"CONNECT 127.0.0.1:443 HTTP/1.")
    assert b"Proxy-Authorization: Basic " + CREDENTIALS in tunnel
    assert [request.split(b"\r\n")[0] for request in requests] == [b"GET /a HTTP/1.1"] * 2
    assert not any(b"Proxy-Authorization" in request for request in requests)


def test_a_proxy_that_refuses_is_a_fault(unproxied: pytest.MonkeyPatch) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    with raw_server(serve) as port:
        unproxied.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(NetworkError, match="407"):
            Connections(TIMEOUTS, {}).send(S3, "GET", "/", {"host": S3.authority}, b"")
