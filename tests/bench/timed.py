"""Measure times inside a warm process."""

import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Clock = Callable[[], float]


def alternated(
    theirs: Callable[[], object], ours: Callable[[], object], runs: int, clock: Clock = time.perf_counter
) -> tuple[list[float], list[float]]:
    """Milliseconds of two functions that are called in turn, A B A B; the first round does not count."""
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(runs + 1):
        for operation, took in zip((theirs, ours), found, strict=True):
            gc.collect()
            begun = clock()
            operation()
            if number:
                took.append(1000 * (clock() - begun))
    return found


@dataclass
class TimedSession:
    """An onnxruntime session that adds up the times of its runs.

    Attributes:
        session: the real session.
        seconds: processor time of all threads.
        wall: elapsed time, seconds.
    """

    session: Any
    seconds: float = 0.0
    wall: float = field(default=0.0)

    def run(self, *arguments: Any, **options: Any) -> Any:
        """Run the session and add its time."""
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            return self.session.run(*arguments, **options)
        finally:
            self.seconds += time.process_time() - cpu
            self.wall += time.perf_counter() - wall

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


@contextmanager
def captured() -> Iterator[list[str]]:
    """Collect what is written to standard output within the block."""
    original, output = sys.stdout, _Output()
    sys.stdout = output
    try:
        yield output.lines
    finally:
        sys.stdout = original


class _Output:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> int:
        self.lines.append(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing; there is no buffer."""
