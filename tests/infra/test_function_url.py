"""The address of the HTTP API on the local AWS: requests of its port become requests of the Function URL."""

import asyncio
import json
from typing import Any

import pytest

from infra.local import function_url
from infra.local.function_url import MAX_BODY_BYTES, with_function_url

PORT = 4567


async def echo(connection: Any, receive: Any, send: Any) -> None:
    """Answers with the path and the body that it got."""
    body = (await receive())["body"]
    seen = {"path": connection["path"], "raw_path": connection["raw_path"].decode(), "body": len(body)}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


def ask(chunks: list[bytes], port: int = PORT, path: str = "/items") -> tuple[int, dict[str, Any]]:
    """The status and the JSON that a request gets."""
    sent: list[dict[str, Any]] = []
    left = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks) - 1}
        for number, chunk in enumerate(chunks)
    ]

    async def receive() -> dict[str, Any]:
        return left.pop(0) if left else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    connection = {"type": "http", "server": ("127.0.0.1", port), "path": path, "raw_path": path.encode(), "headers": []}

    async def serve() -> None:
        await with_function_url(echo, PORT)(connection, receive, send)

    asyncio.run(serve())
    if not sent:
        return 0, {}
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_url, "_identifier", lambda: "abc")


def test_a_request_to_the_port_of_the_api_is_one_to_the_function_url(url: None) -> None:
    expected = "/_aws/lambda-url/abc/items"
    assert ask([b"ab", b"c"]) == (200, {"path": expected, "raw_path": expected, "body": 3})


def test_other_ports_are_those_of_the_local_aws(url: None) -> None:
    assert ask([b"abc"], port=1) == (200, {"path": "/items", "raw_path": "/items", "body": 3})


@pytest.mark.parametrize("chunks", [[b"x" * (MAX_BODY_BYTES + 1)], [b"x" * 1_000_000] * 6])
def test_lambdas_limit_holds(url: None, chunks: list[bytes]) -> None:
    status, answer = ask(chunks)
    assert (status, list(answer)) == (413, ["Message"])
    assert ask([b"x" * MAX_BODY_BYTES])[0] == 200


def test_without_an_http_api_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_url, "_identifier", lambda: None)
    assert ask([b""])[0] == 503


def test_a_client_that_has_left_gets_nothing(url: None) -> None:
    assert ask([]) == (0, {})
