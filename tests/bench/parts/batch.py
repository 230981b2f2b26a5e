"""Measure a batch of SQS messages against single ones, and the time of an image by the size of its batch."""

import os
from functools import partial
from statistics import median
from typing import Any

from tests.bench.figures import Findings, Series, compared
from tests.bench.naive import app as naive
from tests.bench.setting import Setting, medium_picture
from tests.bench.sides import with_dropvec as dropvec
from tests.bench.timed import alternated, captured
from tests.bench.world import LATENCY_MS, World, sqs_event, upload

MESSAGES = 10
_SIZES = (1, 2, 5, MESSAGES)


def measure(setting: Setting, world: World) -> Findings:
    """Measure with the endpoint of the environment; the limit applies to the one with latency."""
    far = os.environ["AWS_ENDPOINT_URL"] == world.far
    where = f"{LATENCY_MS} ms a call" if far else "no latency"
    data = medium_picture(setting).read_bytes()
    runs = max(1, setting.runs // 3)

    def single() -> None:
        for key in singles.pop():
            dropvec.handler(sqs_event([key]))

    def batch() -> None:
        dropvec.handler(sqs_event(batches.pop()))

    singles = [upload(world.direct, data, MESSAGES) for _ in range(runs + 1)]
    batches = [upload(world.direct, data, MESSAGES) for _ in range(runs + 1)]
    with captured():
        took = alternated(single, batch, runs)
    name = "batch of 10 messages, to ten single ones"
    figure = compared(name if far else f"{name}, {where}", "ms", *took, f"{where}; 2000 x 1500 JPEGs")
    return Findings([figure], [_by_batch(setting, world, where)] if far else [])


def _by_batch(setting: Setting, world: World, where: str) -> Series:
    data = medium_picture(setting).read_bytes()
    found: dict[str, list[float]] = {"naive": [], "dropvec": []}
    for size in _SIZES:
        runs = max(1, setting.runs // 5)
        events = [sqs_event(upload(world.direct, data, size)) for _ in range(2 * (runs + 1))]
        with captured():
            theirs, ours = alternated(
                partial(_naive, events),
                partial(_dropvec, events),
                runs,
            )
        found["naive"].append(median(theirs) / size)
        found["dropvec"].append(median(ours) / size)
    return Series(f"time of an image, {where}", "messages in the batch", "ms", _SIZES, found)


def _naive(events: list[dict[str, Any]]) -> None:
    naive.handler(events.pop(), None)


def _dropvec(events: list[dict[str, Any]]) -> None:
    dropvec.handler(events.pop())
