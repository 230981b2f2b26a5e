"""Decodes files in a process of its own, one after the other, and measures each."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

MOST_SECONDS = 5
MOST_TRIES = 3
MOST_BYTES = 1 << 30

Measured = dict[str, Any]


class Measurer:
    """A process of its own, and another one when it dies.

    Measurements are one after the other: a neighbour of 1 GiB would slow the others down.
    """

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

    def measure(self, data: bytes) -> Measured:
        """What becomes of a file. One that seems slow may have had busy neighbours, so it may try again."""
        self._path.write_bytes(data)
        found = self._ask()
        for _ in range(MOST_TRIES - 1):
            if found.get("seconds", 0) < MOST_SECONDS:
                break
            found = self._ask()
        return found

    def _ask(self) -> Measured:
        assert self._process.stdin
        assert self._process.stdout
        print(self._path, file=self._process.stdin, flush=True)
        if line := self._process.stdout.readline():
            found: Measured = json.loads(line)
            return found
        self.close()
        report = {"died": self._stderr.read_text()[-2000:]}
        self._process = self._start()
        return report

    def close(self) -> None:
        with self._process:
            pass
