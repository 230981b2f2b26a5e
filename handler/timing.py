"""How long things took, and how long they may still take."""

import time
from collections.abc import Callable
from typing import Protocol

# Kept back for answering: what is not started by then is handed back instead of being cut off.
RESERVE_SECONDS = 1.5


# What a large picture may take, or a call that stalls: with less time left no further message of a batch is begun, lest
# the platform cut it off, and with it all that was done before.
START_SECONDS = 8.0


class LambdaContext(Protocol):
    """What is used of the object that the runtime client passes."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the platform ends this invocation."""


class Stopwatch:
    """Laps of one job, in milliseconds."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._start = self._last = clock()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """Add the time since the last lap to `name`."""
        now = self._clock()
        self._laps[name] = self._laps.get(name, 0.0) + (now - self._last) * 1000
        self._last = now

    def read(self) -> dict[str, float]:
        """Give the laps so far and their `total`, in milliseconds to the microsecond."""
        laps = {**self._laps, "total": (self._clock() - self._start) * 1000}
        return {name: round(value, 3) for name, value in laps.items()}


class Deadline:
    """The moment by which this invocation must have answered."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    @classmethod
    def of(cls, context: LambdaContext | None) -> "Deadline":
        """Read the platform's deadline, less a reserve for the answer; without a context there is none."""
        if context is None:
            return cls(float("inf"))
        return cls(context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS)

    def left(self) -> float:
        """Seconds left; negative when it has passed."""
        return self._end - self._clock()
