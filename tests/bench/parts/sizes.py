"""Measure the time of an image by its size, from the event to the stored item."""

from functools import partial
from statistics import median
from typing import Any

from tests.bench.figures import Findings, Series
from tests.bench.naive import app as naive
from tests.bench.setting import Setting
from tests.bench.sides import with_dropvec as dropvec
from tests.bench.timed import alternated, captured
from tests.bench.world import World, sqs_event, upload

MEGAPIXELS = (0.3, 1, 3, 6, 12, 24)


def measure(setting: Setting, world: World) -> Findings:
    """Measure both without latency."""
    found: dict[str, list[float]] = {"naive": [], "dropvec": []}
    runs = max(1, setting.runs // 3)
    for megapixels in MEGAPIXELS:
        data = setting.picture(f"size-{megapixels}.jpg").read_bytes()
        events = [sqs_event([key]) for key in upload(world.direct, data, 2 * (runs + 1))]
        with captured():
            theirs, ours = alternated(
                partial(_naive, events),
                partial(_dropvec, events),
                runs,
            )
        found["naive"].append(median(theirs))
        found["dropvec"].append(median(ours))
    series = Series("time of an image, event to item", "megapixels", "ms", MEGAPIXELS, found)
    return Findings(series=[series])


def _naive(events: list[dict[str, Any]]) -> None:
    naive.handler(events.pop(), None)


def _dropvec(events: list[dict[str, Any]]) -> None:
    dropvec.handler(events.pop())
