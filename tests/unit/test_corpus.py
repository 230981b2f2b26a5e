"""Every hostile file ends as a picture or as a code, soon, in little memory, and in silence."""

import json
import queue
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from handler.errors import Rejection
from tests.corpus import Sample, corpus, whole

SAMPLES = {sample.name: sample for sample in corpus()}
PROCESSES = 2
MOST_SECONDS = 5
MOST_BYTES = 1 << 30

Measured = dict[str, dict[str, Any]]


def run(waiting: "queue.SimpleQueue[Sample | None]", folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Feed a process of its own until it dies or nothing is waiting."""
    folder.mkdir()
    with (
        (folder / "stderr").open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.corpus_run"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        assert process.stdin
        assert process.stdout
        while sample := waiting.get():
            path = folder / "sample"
            path.write_bytes(sample.make())
            print(path, file=process.stdin, flush=True)
            line = process.stdout.readline()
            if not line:
                yield sample.name, {"died": (folder / "stderr").read_text()[-2000:]}
                return
            yield sample.name, json.loads(line)


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    waiting: queue.SimpleQueue[Sample | None] = queue.SimpleQueue()
    for sample in [*SAMPLES.values(), *[None] * PROCESSES]:
        waiting.put(sample)
    folder = tmp_path_factory.mktemp("corpus")
    with ThreadPoolExecutor(PROCESSES) as pool:
        runs = pool.map(lambda number: dict(run(waiting, folder / str(number))), range(PROCESSES))
        return {name: result for found in runs for name, result in found.items()}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SAMPLES)
def test_a_hostile_file(name: str, measured: Measured) -> None:
    sample, found = SAMPLES[name], measured[name]
    assert "died" not in found, found
    assert found["outcome"] in sample.expected
    assert found["outcome"] in {"success", *Rejection}
    assert found["seconds"] < MOST_SECONDS
    assert found["peak"] < MOST_BYTES
    assert found["printed"] == 0
    if sample.same_as and found["outcome"] == "success":
        assert found["digest"] == measured[sample.same_as]["digest"]


def test_the_corpus_is_large_and_the_same_every_time() -> None:
    assert len(SAMPLES) == len(list(corpus())) >= 300
    some = [sample for sample in list(SAMPLES.values())[::50] if "limit" not in sample.name]
    before = [sample.make() for sample in some]
    whole.cache_clear()
    assert [sample.make() for sample in some] == before
