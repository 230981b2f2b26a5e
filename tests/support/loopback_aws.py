"""moto's AWS behind an HTTP server on 127.0.0.1, in this process, for clients that do not use botocore.

Buckets and tables are those of moto's `mock_aws`, so botocore clients access them too, without a socket.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto import mock_aws
from moto.core.models import botocore_stubber

from handler.aws.clients import Clients, make_clients

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client


class OperatorClients(NamedTuple):
    """botocore clients with all operations of S3 and DynamoDB, to set up and inspect a test."""

    s3: "S3Client"
    dynamodb: "DynamoDBClient"


@dataclass(frozen=True)
class Request:
    """A received request.

    Attributes:
        operation: for example `GetObject`; the HTTP method for operations that the function does not use.
        method: HTTP method.
        target: path and query, as sent.
        headers: with lower-case names.
        body: the whole body.
    """

    operation: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Response:
    """A response to send."""

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
        """The response to a request."""
        return self._respond(request) or ask_moto(request)

    @contextmanager
    def answering(self, respond: Respond) -> Iterator[list[Request]]:
        """Within this context, call `respond` for each request, and moto if it returns None; yields all requests."""
        requests: list[Request] = []

        def record(request: Request) -> Response | None:
            requests.append(request)
            return respond(request)

        self._respond = record
        try:
            yield requests
        finally:
            self._respond = _pass

    @contextmanager
    def answering_first(self, operation: str, response: Response) -> Iterator[list[Request]]:
        """Send `response` to the first call of an operation; yields all calls of that operation."""
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
    """Execute a request in moto, and return its response."""
    host = "dynamodb.us-east-1.amazonaws.com" if "x-amz-target" in request.headers else "s3.us-east-1.amazonaws.com"
    headers = HTTPHeaders()
    for name, value in {**request.headers, "host": host}.items():
        headers[name] = value
    prepared: Any = AWSPreparedRequest(
        request.method, f"http://{host}{request.target}", headers, request.body, stream_output=False
    )
    result = botocore_stubber.process_request(prepared)
    assert result is not None, f"moto does not support {request}"
    status, response_headers, body = result
    data = body if isinstance(body, bytes) else body.encode()
    return Response(status, {name.lower(): str(value) for name, value in response_headers.items()}, data)


def _operation(method: str, target: str, headers: dict[str, str]) -> str:
    if "x-amz-target" in headers:
        return headers["x-amz-target"].rpartition(".")[2]
    if "list-type=2" in target:
        return "ListObjectsV2"
    return {"GET": "GetObject", "PUT": "PutObject", "DELETE": "DeleteObject"}.get(method, method)


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
    """Run the server; it has no buckets or tables outside `mock_aws`, see `fresh_state`."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.aws = aws = LoopbackAws(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield aws
        finally:
            server.shutdown()
            thread.join()


@cache  # creating them takes longer than a test
def _operator() -> OperatorClients:
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    endpoints = {service: f"https://{service}.us-east-1.amazonaws.com" for service in ("s3", "dynamodb")}
    return OperatorClients(
        s3=session.client("s3", endpoint_url=endpoints["s3"]),
        dynamodb=session.client("dynamodb", endpoint_url=endpoints["dynamodb"]),
    )


class State(NamedTuple):
    """A server with buckets and tables, and clients of it.

    Attributes:
        server: responds to the function's requests.
        operator: creates and inspects buckets and tables.
        clients: the function's clients, over HTTP.
    """

    server: LoopbackAws
    operator: OperatorClients
    clients: Clients


@contextmanager
def fresh_state(aws: LoopbackAws) -> Iterator[State]:
    """An AWS without buckets and tables, deleted at the end; the environment configures it as the endpoint."""
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
            clients.s3.client.connections.close()
