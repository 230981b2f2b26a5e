"""Answers that AWS never sends, but a proxy between may: each is a passing fault, and the next try is right."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from urllib3 import HTTPResponse

from handler.pipeline import Ending
from tests.pictures import encoded, picture
from tests.unit.conftest import World

PHOTO = encoded(picture())


@contextmanager
def answered_first(client: Any, event: str, headers: dict[str, str], body: bytes) -> Iterator[list[str]]:
    """Answer the first call of an operation this way; the calls are listed."""
    calls: list[str] = []

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        calls.append(request.method)
        if len(calls) > 1:
            return None
        raw = HTTPResponse(io.BytesIO(body), preload_content=False)
        return AWSResponse(request.url, 200, HTTPHeaders.from_dict(headers), raw)

    client.meta.events.register_first(event, answer)
    try:
        yield calls
    finally:
        client.meta.events.unregister(event, answer)


def test_an_object_without_its_length_may_be_cut_short(world: World) -> None:
    world.put("a", PHOTO)
    with answered_first(world.pipeline.clients.s3, "before-send.s3.GetObject", {"ETag": '"a"'}, PHOTO[:99]) as calls:
        assert world.process("a").ending is Ending.SUCCESS
    assert len(calls) == 2


def test_half_an_object_is_asked_for_again(world: World) -> None:
    world.put("a", PHOTO)
    headers = {"ETag": '"a"', "Content-Length": str(len(PHOTO))}
    with answered_first(world.pipeline.clients.s3, "before-send.s3.GetObject", headers, PHOTO[:99]) as calls:
        assert world.process("a").ending is Ending.SUCCESS
    assert len(calls) == 2


def test_half_an_item_is_asked_for_again(world: World) -> None:
    world.put("a", PHOTO)
    with answered_first(world.pipeline.clients.dynamodb, "before-send.dynamodb", {}, b'{"Item": {"sou') as calls:
        assert world.process("a", None).ending is Ending.SUCCESS
    assert len(calls) > 1
