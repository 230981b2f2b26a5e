"""Time inside a warm process."""

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
    """Milliseconds of two things that are done in turn, A B A B; a first round does not count."""
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
    """A session that adds up the processor time of its runs.

    Attributes:
        session: the real one.
        seconds: of the processor, all threads.
        wall: of the clock.
    """

    session: Any
    seconds: float = 0.0
    wall: float = field(default=0.0)

    def run(self, *arguments: Any, **options: Any) -> Any:
        """Run, and add."""
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
    """Take what is written to standard output as a list of texts, as the platform takes a function's log."""
    kept, said = sys.stdout, _Said()
    sys.stdout = said
    try:
        yield said.lines
    finally:
        sys.stdout = kept


class _Said:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> int:
        self.lines.append(text)
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""
