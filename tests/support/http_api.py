"""The HTTP API in this process: events as a Function URL sends them, and each answer checked against the document."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jsonschema import Draft202012Validator

from handler.api.http.auth import TokenCheck
from handler.api.http.openapi import openapi
from handler.api.http.routes import find_route
from handler.api.http.scope import Scope
from handler.api.http.server import serve
from handler.api.http.services import Services
from handler.api.items import ItemReader
from handler.api.search import Search
from handler.api.towers import Limits, Towers
from handler.aws.sdk.presigning import Presigner
from handler.index.plan import plan_of
from handler.index.stream import Change
from handler.index.writer import IndexWriter
from handler.model.identity import load_identity
from handler.results.item import read_item
from handler.results.keys import source_of
from handler.timing import Deadline
from tests.support.loopback_aws import State
from tests.support.vector_indexes import Indexes

TOKEN = "a-token-of-the-tests"
BOUNDARY = "boundary7"


@dataclass(frozen=True)
class Reply:
    """An answer of the API.

    Attributes:
        status: HTTP status.
        headers: with lower-case names.
        body: decoded.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The error's code."""
        found: str | None = self.json.get("error_code")
        return found


@dataclass
class FakeSecrets:
    """Secrets Manager with one secret.

    Attributes:
        text: of the secret.
        reads: how often it was read.
        error: raised instead, if set.
    """

    text: str = TOKEN
    reads: int = 0
    error: Exception | None = None

    def get_secret_value(self, _secret: str) -> str:
        self.reads += 1
        if self.error:
            raise self.error
        return self.text


@dataclass
class Part:
    """A part of a form; a file if it has a file name."""

    name: str
    data: bytes | str
    filename: str | None = None
    content_type: str | None = None

    def encode(self) -> bytes:
        name = "" if self.filename is None else f'; filename="{self.filename}"'
        kind = "" if self.content_type is None else f"Content-Type: {self.content_type}\r\n"
        data = self.data if isinstance(self.data, bytes) else self.data.encode()
        head = f'Content-Disposition: form-data; name="{self.name}"{name}\r\n{kind}\r\n'
        return head.encode() + data


def form(*parts: Part) -> bytes:
    """The body of a form."""
    edge = f"--{BOUNDARY}\r\n".encode()
    return b"".join(edge + part.encode() + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()


def http_event(
    method: str, path: str, query: str = "", headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> dict[str, Any]:
    """An event of a Function URL."""
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "id.lambda-url.us-east-1.on.aws", **(headers or {})},
        "requestContext": {
            "stage": "$default",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
        },
        "isBase64Encoded": body is not None,
    }
    return event if body is None else event | {"body": base64.b64encode(body).decode()}


@dataclass
class HttpApi:
    """The API over an AWS in memory.

    Attributes:
        state: S3 and DynamoDB.
        services: what the routes work with.
        secrets: has the token.
        indexes: the search index.
    """

    state: State
    services: Services
    secrets: FakeSecrets
    indexes: Indexes
    seconds: float = 30.0
    headers: dict[str, str] = field(default_factory=lambda: {"authorization": f"Bearer {TOKEN}"})

    def event(self, event: Mapping[str, Any]) -> Reply:
        """The answer to an event; its shape is that of the document."""
        payload = json.loads(json.dumps(serve(self.services, event, Deadline(self.seconds), "request-1")))
        body = base64.b64decode(payload["body"]) if payload["isBase64Encoded"] else payload["body"].encode()
        reply = Reply(payload["statusCode"], payload["headers"], body)
        check_reply(event["requestContext"]["http"]["method"], event["rawPath"], reply)
        return reply

    def send(self, method: str, path: str, body: bytes | None = None, /, **options: Any) -> Reply:
        """Send a request.

        Args:
            method: of HTTP.
            path: of the request.
            body: its bytes.
            options: `headers` beside the token; all others are the query's parameters.
        """
        headers = {**self.headers, **options.pop("headers", {})}
        return self.event(http_event(method, path, urlencode(options, quote_via=quote), headers, body))

    def get(self, path: str, /, **options: Any) -> Reply:
        return self.send("GET", path, None, **options)

    def post(self, path: str, content: Any, /, **options: Any) -> Reply:
        """Send JSON."""
        headers = {"content-type": "application/json", **options.pop("headers", {})}
        return self.send("POST", path, json.dumps(content).encode(), headers=headers, **options)

    def post_form(self, path: str, *parts: Part) -> Reply:
        headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.send("POST", path, form(*parts), headers=headers)

    def index(self, *keys: str) -> None:
        """Index the items of keys of the uploads bucket, as the indexer does."""
        changes = []
        for key in keys:
            source = source_of(self.services.scope.bucket, key)
            wire = self.services.items.read_wire(source, Deadline(30))
            assert wire is not None
            changes.append(Change(source, None, read_item(wire)))
        IndexWriter(self.indexes.client).apply(plan_of(changes), Deadline(60))


@contextmanager
def http_api(state: State, bundle: Path, table: str, scope: Scope) -> Iterator[HttpApi]:
    """The API of a bundle, with a token."""
    identity = load_identity(bundle)
    limits = Limits(max_bytes=5_000_000, max_pixels=1_000_000)
    towers, indexes, secrets = Towers(bundle, identity, limits), Indexes(), FakeSecrets()
    items = ItemReader(state.clients.dynamodb, table)
    token: Any = TokenCheck(secrets, "secret")  # type: ignore[arg-type]
    services = Services(
        identity,
        Search(indexes.client, items, towers),
        towers,
        items,
        state.clients.s3,
        Presigner(state.clients.s3.endpoints, state.clients.s3.client.credentials),
        scope,
        limits,
        token,
    )
    yield HttpApi(state, services, secrets, indexes)


def with_scope(api: HttpApi, scope: Scope) -> HttpApi:
    """The same API with other filters of keys."""
    return replace(api, services=replace(api.services, scope=scope))


@cache
def _validator(method: str, path: str, status: int) -> Draft202012Validator | None:
    """What checks the JSON of an answer; None if the document has no schema for it."""
    document = openapi()
    described = document["paths"][path][method.lower()]["responses"].get(str(status))
    assert described is not None, f"{method} {path} has no answer {status} in the document"
    schema = described.get("content", {}).get("application/json", {}).get("schema")
    return Draft202012Validator({**schema, "components": document["components"]}) if schema else None


def check_reply(method: str, path: str, reply: Reply) -> None:
    """Check an answer against the OpenAPI document, and its headers."""
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert "access-control-allow-origin" not in reply.headers
    if reply.status >= 400:
        assert reply.json.keys() == {"status", "error", "error_code"}
        assert "\n" not in reply.json["error"]
        assert ("retry-after" in reply.headers) == (reply.status == 503)
    route = find_route("GET" if method == "HEAD" else method, path).route
    if route is None or method == "HEAD":
        return
    validator = _validator(route.method, route.path, reply.status)
    if validator is not None:
        validator.validate(reply.json)
