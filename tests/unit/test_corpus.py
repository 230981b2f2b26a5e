"""Every hostile file ends as a picture or as a code, soon, in little memory, and in silence."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from handler.errors import Rejection
from tests.support.corpus import Sample, corpus, whole

SAMPLES = {sample.name: sample for sample in corpus()}
MOST_SECONDS = 5
MOST_TRIES = 3
MOST_BYTES = 1 << 30

Measured = dict[str, dict[str, Any]]


class Measurer:
    """A process of its own, and another one when it dies."""

    def __init__(self, folder: Path) -> None:
        self._path, self._stderr = folder / "sample", folder / "stderr"
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[str]":
        with self._stderr.open("wb") as stderr:
            return subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "tests.support.corpus_run"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def measure(self, sample: Sample) -> dict[str, Any]:
        """What becomes of a sample. One that seems slow may have had busy neighbours, so it may try again."""
        self._path.write_bytes(sample.make())
        found = self._ask()
        for _ in range(MOST_TRIES - 1):
            if found.get("seconds", 0) < MOST_SECONDS:
                break
            found = self._ask()
        return found

    def _ask(self) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        print(self._path, file=self._process.stdin, flush=True)
        if line := self._process.stdout.readline():
            found: dict[str, Any] = json.loads(line)
            return found
        self.close()
        told = {"died": self._stderr.read_text()[-2000:]}
        self._process = self._start()
        return told

    def close(self) -> None:
        with self._process:
            pass


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    # One after the other: a neighbour of 1 GiB would be the slowest of neighbours.
    with closing(Measurer(tmp_path_factory.mktemp("corpus"))) as measurer:
        return {name: measurer.measure(sample) for name, sample in SAMPLES.items()}


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
