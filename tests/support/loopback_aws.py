"""An AWS on 127.0.0.1, in this process: moto's, for clients that speak HTTP themselves.

What moto holds is what its `mock_aws` holds: botocore clients reach the same buckets and tables without a socket.
"""

import http.client
import io
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto import mock_aws
from moto.core.models import botocore_stubber

from handler.aws.clients import Clients, make_clients
from handler.aws.sdk.calls import Caller
from handler.aws.sdk.connections import Answer, Connections
from handler.aws.sdk.endpoints import Address

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client


class Operator(NamedTuple):
    """Clients of whoever owns the buckets: they can do all that AWS can."""

    s3: "S3Client"
    dynamodb: "DynamoDBClient"


@dataclass(frozen=True)
class Request:
    """What arrived.

    Attributes:
        operation: such as `GetObject`, as far as the function's calls go.
        method: of HTTP.
        target: path and query, as sent.
        headers: with lower-case names.
        body: all of it.
    """

    operation: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """What is answered."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


Respond = Callable[[Request], Response | None]


class LoopbackAws:
    """A running server.

    Attributes:
        endpoint: its URL.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._respond: Respond = _pass

    def respond(self, request: Request) -> Response:
        """What is answered to a request."""
        return self._respond(request) or ask_moto(request)

    @contextmanager
    def answering(self, respond: Respond) -> Iterator[list[Request]]:
        """Ask this first about each request, while inside; what it leaves goes to moto. All requests are listed."""
        seen: list[Request] = []

        def see(request: Request) -> Response | None:
            seen.append(request)
            return respond(request)

        self._respond = see
        try:
            yield seen
        finally:
            self._respond = _pass

    @contextmanager
    def answering_first(self, operation: str, response: Response) -> Iterator[list[Request]]:
        """Answer the first call of an operation so; all calls of that operation are listed."""
        calls: list[Request] = []

        def respond(request: Request) -> Response | None:
            if request.operation == operation:
                calls.append(request)
            return response if calls == [request] else None

        with self.answering(respond):
            yield calls


def _pass(_: Request) -> None:
    pass


def ask_moto(request: Request) -> Response:
    """What moto answers; by now it has done what was asked."""
    host = "dynamodb.us-east-1.amazonaws.com" if "x-amz-target" in request.headers else "s3.us-east-1.amazonaws.com"
    headers = HTTPHeaders()
    for name, value in {**request.headers, "host": host}.items():
        headers[name] = value
    asked: Any = AWSPreparedRequest(
        request.method, f"http://{host}{request.target}", headers, request.body, stream_output=False
    )
    answered = botocore_stubber.process_request(asked)
    assert answered is not None, f"moto does not know {request}"
    status, told, body = answered
    sent = body if isinstance(body, bytes) else body.encode()
    return Response(status, {name.lower(): str(value) for name, value in told.items()}, sent)


def _operation(method: str, target: str, headers: dict[str, str]) -> str:
    if "x-amz-target" in headers:
        return headers["x-amz-target"].rpartition(".")[2]
    if "list-type=2" in target:
        return "ListObjectsV2"
    return {"GET": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}.get(method, method)


def without_sockets(clients: Clients) -> Clients:
    """The same clients, handing each request to moto themselves: for many thousands of calls, in half the time."""
    caller = Caller(cast("Connections", _Shortcut()), clients.s3.caller.credentials)
    return Clients(replace(clients.s3, caller=caller), replace(clients.dynamodb, caller=caller))


class _Shortcut:
    """In place of `Connections`."""

    def send(self, address: Address, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        answered = ask_moto(Request(_operation(method, target, dict(headers)), method, target, dict(headers), body))
        told = {**answered.headers, "content-length": str(len(answered.body))}
        lines = [f"HTTP/1.1 {answered.status} -", *(f"{name}: {value}" for name, value in told.items()), "", ""]
        response = http.client.HTTPResponse(
            cast("Any", _Read("\r\n".join(lines).encode() + answered.body)), method=method
        )
        response.begin()
        return Answer(response, http.client.HTTPConnection(address.host), lambda _: None)


@dataclass(frozen=True)
class _Read:
    data: bytes

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self.data)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: "_Server"

    def handle_expect_100(self) -> bool:
        more = super().handle_expect_100()
        self.wfile.flush()
        return more

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        operation = _operation(self.command, self.path, headers)
        answer = self.server.aws.respond(Request(operation, self.command, self.path, headers, body))
        self.send_response_only(answer.status)
        length = {} if "content-length" in answer.headers else {"content-length": str(len(answer.body))}
        for name, value in {**answer.headers, **length}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()
        if answer.headers.get("connection") == "close":
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    aws: LoopbackAws


@contextmanager
def loopback_aws() -> Iterator[LoopbackAws]:
    """Run the server while inside; `mock_aws` is to be entered by itself, for as long as one state is to last."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.aws = aws = LoopbackAws(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield aws
        finally:
            server.shutdown()
            thread.join()


@cache  # they cost more than all that a test does with them
def _operator() -> Operator:
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    endpoints = {service: f"https://{service}.us-east-1.amazonaws.com" for service in ("s3", "dynamodb")}
    return Operator(
        s3=session.client("s3", endpoint_url=endpoints["s3"]),
        dynamodb=session.client("dynamodb", endpoint_url=endpoints["dynamodb"]),
    )


class State(NamedTuple):
    """One state of an AWS.

    Attributes:
        server: answers the function.
        operator: makes buckets and tables.
        clients: the function's own, over HTTP.
    """

    server: LoopbackAws
    operator: Operator
    clients: Clients


@contextmanager
def fresh_state(aws: LoopbackAws) -> Iterator[State]:
    """An AWS without a bucket or a table, that forgets everything in the end; the environment points at it."""
    variables = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": aws.endpoint,
    }
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        clients = make_clients()
        try:
            yield State(aws, _operator(), clients)
        finally:
            clients.s3.caller.connections.close()
