"""Time measurements, and the time that remains in an invocation."""

import time
from collections.abc import Callable
from typing import Protocol

# Reserved for the response: work that has not started by then is returned to the queue, because Lambda would stop it.
RESERVE_SECONDS = 1.5

# The time that a large image or a stalled call may take. With less time left, no further message of a batch is started:
# if the invocation timed out, the results of the whole batch would be lost.
MIN_START_SECONDS = 8.0


class LambdaContext(Protocol):
    """The part of Lambda's context object that dropvec uses."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda stops this invocation."""


class Stopwatch:
    """Durations of the stages of one job, in milliseconds."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._start = self._last = clock()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """Add the time since the previous call to the duration of `name`."""
        now = self._clock()
        self._laps[name] = self._laps.get(name, 0.0) + (now - self._last) * 1000
        self._last = now

    def read(self) -> dict[str, float]:
        """Return the durations so far and their `total`, in milliseconds, rounded to microseconds."""
        laps = {**self._laps, "total": (self._clock() - self._start) * 1000}
        return {name: round(value, 3) for name, value in laps.items()}


class Deadline:
    """The time by which this invocation must return its response."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    @classmethod
    def from_context(cls, context: LambdaContext | None) -> "Deadline":
        """Lambda's deadline minus the reserve for the response; no deadline without a context."""
        if context is None:
            return cls(float("inf"))
        return cls(context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS)

    def left(self) -> float:
        """Seconds left; negative after the deadline."""
        return self._end - self._clock()
