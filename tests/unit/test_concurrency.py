"""Messages of one batch: one computes while another waits for S3, and never two compute at once."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from handler.aws.clients import Clients
from handler.concurrency import map_concurrently
from handler.images.preprocess import Tensor
from handler.pipeline import Pipeline
from handler.results.store import Store
from tests.support.pictures import encoded, picture
from tests.unit.conftest import Serve, World

PHOTOS = [encoded(picture(64, 48, seed=seed)) for seed in range(6)]


def batch(count: int, group: str | None = None) -> dict[str, Any]:
    """An SQS event with `count` messages, one for each photo."""
    return {"Records": [message(number, group) for number in range(count)]}


def message(number: int, group: str | None) -> dict[str, Any]:
    put = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "uploads"}, "object": {"key": f"{number}.png", "sequencer": "0A"}},
    }
    queue = "uploads.fifo" if group else "uploads"
    return {
        "messageId": f"m{number}",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:1:{queue}",
        "attributes": {"MessageGroupId": group} if group else {},
        "body": json.dumps({"Records": [put]}),
    }


class ObservedClient:
    """A client that calls `observe` before every call, with the method's name and, for S3, the key."""

    def __init__(self, client: object, observe: Callable[[str, str | None], None]) -> None:
        self._client = client
        self._observe = observe

    def __getattr__(self, name: str) -> object:
        call = getattr(self._client, name)

        def call_observed(*args: object, **options: Any) -> object:
            self._observe(name, str(args[1]) if args else None)
            return call(*args, **options)

        return call_observed


def observed_pipeline(world: World, observe: Callable[[str, str | None], None]) -> Pipeline:
    """The pipeline of `world`, whose clients call `observe` before every call."""
    known = world.pipeline
    clients = Clients(
        s3=cast("Any", ObservedClient(known.clients.s3, observe)),
        dynamodb=cast("Any", ObservedClient(known.clients.dynamodb, observe)),
    )
    return Pipeline(known.settings, known.encoder, clients, Store(clients, known.settings))


def put_photos(world: World) -> None:
    for number, photo in enumerate(PHOTOS):
        world.put(f"{number}.png", photo)


def test_the_next_object_is_fetched_before_this_one_is_written(world: World, serve: Serve) -> None:
    put_photos(world)
    fetched = threading.Event()
    seen: list[bool] = []

    def observe(name: str, key: str | None) -> None:
        if name == "get_object" and key == "1.png":
            fetched.set()
        if name == "put_object" and key and "/0.png/" in key:
            seen.append(fetched.wait(10))

    assert serve(batch(2), None, observed_pipeline(world, observe)) == {"batchItemFailures": []}
    assert seen == [True]


def test_only_one_message_computes_at_a_time(world: World, serve: Serve) -> None:
    put_photos(world)
    computing = threading.Semaphore(1)
    overlaps: list[bool] = []

    class CountingEncoder:
        def __init__(self, encoder: Any) -> None:
            self._encoder = encoder

        def __getattr__(self, name: str) -> object:
            return getattr(self._encoder, name)

        def embed(self, tensor: Tensor) -> object:
            alone = computing.acquire(blocking=False)
            overlaps.append(not alone)
            time.sleep(0.02)  # long enough for another thread to arrive
            if alone:
                computing.release()
            return self._encoder.embed(tensor)

    known = world.pipeline
    pipeline = Pipeline(known.settings, cast("Any", CountingEncoder(known.encoder)), known.clients, known.store)
    assert serve(batch(6), None, pipeline) == {"batchItemFailures": []}
    assert overlaps == [False] * 6
    assert len(world.results()) == 6


def test_messages_of_a_fifo_queue_are_processed_in_order(world: World, serve: Serve) -> None:
    put_photos(world)
    calls: list[str] = []

    def observe(_: str, key: str | None) -> None:
        calls.append((key or "item").rpartition("/")[0][-5:] or key or "item")

    assert serve(batch(3, "one"), None, observed_pipeline(world, observe)) == {"batchItemFailures": []}
    assert [call for call in calls if call != "item"] == ["0.png", "0.png", "1.png", "1.png", "2.png", "2.png"]


def test_results_have_the_order_of_the_items() -> None:
    def double_slowly(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * 2

    assert map_concurrently(double_slowly, list(range(20))) == [number * 2 for number in range(20)]


def test_a_single_item_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    assert map_concurrently(lambda _: threading.active_count(), [1]) == [before]
