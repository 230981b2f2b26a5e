"""Measure the functions of search: their cold starts, a warm search, and how many vectors the indexer writes.

S3 Vectors and DynamoDB answer at once (`tests.bench.sink`), on another core.
"""

import json
from pathlib import Path
from statistics import median

from handler.model.identity import load_identity
from tests.bench.amounts import DIMENSION, SEARCHES
from tests.bench.figures import Figure, Findings, compared
from tests.bench.parts.cold import probe
from tests.bench.process import run
from tests.bench.setting import FOLDER, Setting
from tests.bench.world import World, server

EXAMPLE = {"query": {"source": "s3://bench-uploads/photos/2026/000000.jpg"}}
FUNCTION, INDEXER, API = "handler.app", "handler.index.app", "handler.api.app"
WARM = "tests.bench.sides.warm_search"


def measure(setting: Setting) -> Findings:
    """Measure the functions as processes, in turn with the embedding function."""
    event = FOLDER / "search.json"
    event.write_text(json.dumps(EXAMPLE), "utf-8")
    dimension = load_identity(Path(setting.bundle)).embedding_dim
    with server("tests.bench.sink", setting.other_core, str(dimension)) as sink:
        environment = setting.environment() | World("", "", "", sink).environment(sink)
        return Findings([*_cold(setting, environment, event), *_warm(setting, environment)])


def _cold(setting: Setting, environment: dict[str, str], event: Path) -> list[Figure]:
    commands = {"": probe(FUNCTION), "indexer": probe(INDEXER), "search": probe(API, "handle", str(event))}
    marks = {"": "ready", "indexer": "ready", "search": "stored"}
    found: dict[str, list[float]] = {name: [] for name in commands}
    memory: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(setting.runs + 1):
        for name, command in commands.items():
            mark = run(command, environment, setting.core).marks[marks[name]]
            if number:  # the first round warms the page cache
                found[name].append(1000 * mark.seconds)
                memory[name].append(mark.peak_mib)
    answered = "search by example, exec to answer, to the embedding function's exec to ready"
    return [
        compared("indexer, exec to ready, to the embedding function's", "ms", found[""], found["indexer"]),
        compared(answered, "ms", found[""], found["search"], "S3 Vectors answers at once"),
        compared("indexer, peak memory when ready", "MiB", memory[""], memory["indexer"], "to the embedding function"),
        compared("search by example, peak memory", "MiB", memory[""], memory["search"], "to the embedding function"),
    ]


def _warm(setting: Setting, environment: dict[str, str]) -> list[Figure]:
    searches: list[float] = []
    vectors: list[float] = []
    for _ in range(max(2, setting.runs // 3)):
        marks = run(probe(WARM, "session"), environment, setting.core).marks
        searches.append(float(str(marks["search"].value)))
        vectors.append(float(str(marks["indexer"].value)))
    note = f"processor time of the function; median of {SEARCHES} searches with two calls each"
    second = f"a second of processor time; {DIMENSION} numbers and 20 labels each, from the event's JSON on"
    return [
        Figure("warm search by example", "ms", None, median(searches), note=note),
        Figure("indexer, vectors of 512 numbers", "a second", None, median(vectors), note=second),
    ]
