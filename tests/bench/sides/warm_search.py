"""Warm searches, and batches of the indexer, timed inside one process."""

import json
import time
from statistics import median

import numpy as np

from tests.bench.amounts import DIMENSION, SEARCHES
from tests.bench.probe import mark
from tests.bench.timed import captured
from tests.support.stored_items import Made
from tests.support.stream_records import event_of, record_of

BATCHES, BATCH = 8, 500


def load() -> None:
    """Measure both, and report the figures as marks; the probe calls it by this name."""
    with captured():
        search, vectors = _search_ms(), _vectors_a_second()
    mark("search", str(search))
    mark("indexer", str(vectors))


def _search_ms() -> float:
    """Milliseconds of processor time of a search by example."""
    from handler.api.app import handler

    event = {"query": {"source": "s3://bench-uploads/photos/2026/000000.jpg"}}
    found = []
    for _ in range(SEARCHES):
        begun = time.process_time()
        answer = handler(event, None)
        json.dumps(answer)  # as the runtime does
        found.append(1000 * (time.process_time() - begun))
        if answer["status"] != "ok" or not answer["hits"]:
            raise AssertionError(f"the search failed: {answer}")
    return median(found[SEARCHES // 10 :])


def _vectors_a_second() -> float:
    """Vectors of 512 numbers that one second of processor time is enough for, from the event's JSON to the request."""
    from handler.index.app import handler

    text = json.dumps(event_of(record_of(None, made.wire()) for made in _items()))
    found = []
    for _ in range(BATCHES):
        begun = time.process_time()
        handler(json.loads(text), None)
        found.append(BATCH / (time.process_time() - begun))
    return median(found[1:])


def _items() -> list[Made]:
    numbers = np.random.default_rng(0).standard_normal((BATCH, DIMENSION)).astype(np.float32)
    labels = [(f"a label of number {number}", 1 - number / 20) for number in range(20)]
    return [
        Made(f"s3://bench-uploads/photos/2026/{number:06}.jpg", vector=row, labels=labels)
        for number, row in enumerate(numbers)
    ]
