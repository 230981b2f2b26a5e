"""Proxies: the same choice as botocore's, and requests that go through a proxy."""

import base64
import os
import socket
import ssl
from pathlib import Path

import pytest
from botocore.utils import get_environ_proxies

from handler.aws.sdk.connections import Connections, Timeouts
from handler.aws.sdk.endpoints import Endpoint
from handler.aws.sdk.errors import NetworkError
from handler.aws.sdk.proxies import proxy_for
from handler.errors import SettingsError
from tests.support.certificates import make_authority
from tests.support.raw_server import OK, raw_server, read_request

TIMEOUTS = Timeouts(connect=2, read=2)
S3 = Endpoint("https", "uploads.s3.us-east-1.amazonaws.com", 443)
LOCAL = Endpoint("http", "127.0.0.1", 4566)


@pytest.fixture
def without_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
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
def test_the_proxy_is_the_one_that_botocore_chooses(
    without_proxies: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        without_proxies.setenv(name, value)
    for endpoint in (S3, LOCAL):
        theirs = get_environ_proxies(f"{endpoint.scheme}://{endpoint.authority}/").get(endpoint.scheme)
        ours = proxy_for(endpoint)
        assert (f"http://{ours.host}:{ours.port}" if ours else None) == (theirs or None)


@pytest.mark.parametrize("url", ["proxy.example:3128", "//proxy.example:3128", "http://proxy.example:3128/"])
def test_a_proxy_url_may_be_abbreviated(without_proxies: pytest.MonkeyPatch, url: str) -> None:
    without_proxies.setenv("HTTPS_PROXY", url)
    assert proxy_for(S3) == ("proxy.example", 3128, {})


@pytest.mark.parametrize(
    "url", ["https://user:hush@proxy.example:3128", "socks5://proxy.example", "http://", "http://a:b"]
)
def test_an_unsupported_proxy_is_an_error_without_its_password(without_proxies: pytest.MonkeyPatch, url: str) -> None:
    without_proxies.setenv("HTTPS_PROXY", url)
    with pytest.raises(SettingsError, match="HTTPS_PROXY") as caught:
        proxy_for(S3)
    assert "hush" not in str(caught.value)


CREDENTIALS = base64.b64encode(b"us er:pass@word")


def test_plain_http_sends_the_whole_url_to_the_proxy(without_proxies: pytest.MonkeyPatch) -> None:
    received: list[bytes] = []

    def serve(connection: socket.socket, _: int) -> None:
        while request := read_request(connection):
            received.append(request)
            connection.sendall(OK)

    with raw_server(serve) as port:
        without_proxies.setenv("HTTP_PROXY", f"http://us%20er:pass%40word@127.0.0.1:{port}")
        connections = Connections(TIMEOUTS, {})
        endpoint = Endpoint("http", "s3.example", 8080)
        for _ in range(2):
            with connections.send(endpoint, "GET", "/a?b=c", {"host": endpoint.authority}, b"") as response:
                assert response.read() == b"ok"
        connections.close()
    for request in received:
        assert request.startswith(b"GET http://s3.example:8080/a?b=c HTTP/1.1\r\n")
        assert b"\r\nhost: s3.example:8080\r\n" in request
        assert b"Proxy-Authorization: Basic " + CREDENTIALS in request


def test_tls_goes_through_a_tunnel(without_proxies: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle, context = make_authority(tmp_path)
    received: list[bytes] = []

    def serve(connection: socket.socket, _: int) -> None:
        received.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(connection, server_side=True) as inside:
            respond(inside)

    def respond(inside: ssl.SSLSocket) -> None:
        while request := read_request(inside):
            received.append(request)
            inside.sendall(OK)

    with raw_server(serve) as port:
        without_proxies.setenv("HTTPS_PROXY", f"http://us%20er:pass%40word@127.0.0.1:{port}")
        connections = Connections(TIMEOUTS, {"AWS_CA_BUNDLE": str(bundle)})
        endpoint = Endpoint("https", "127.0.0.1", 443)
        for _ in range(2):
            with connections.send(endpoint, "GET", "/a", {"host": endpoint.authority}, b"") as response:
                assert response.read() == b"ok"
        connections.close()
    tunnel, *requests = received
    assert tunnel.startswith(b"CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: 127.0.0.1:443\r\n")
    assert b"Proxy-Authorization: Basic " + CREDENTIALS in tunnel
    assert [request.split(b"\r\n")[0] for request in requests] == [b"GET /a HTTP/1.1"] * 2
    assert not any(b"Proxy-Authorization" in request for request in requests)


def test_an_error_of_the_proxy_is_a_network_error(without_proxies: pytest.MonkeyPatch) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    with raw_server(serve) as port:
        without_proxies.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(NetworkError, match="407"):
            Connections(TIMEOUTS, {}).send(S3, "GET", "/", {"host": S3.authority}, b"")
