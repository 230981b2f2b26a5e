"""Progress of a long command: how much is done, how fast, and how long the rest will take.

On a terminal a bar; elsewhere a line every few seconds and one at the end. Commands whose standard output is data show
their progress on standard error, which is the default.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TextColumn

_LINE_SECONDS = 5.0
_WINDOW_SECONDS = 60.0
_SAMPLE_SECONDS = 0.1


@dataclass
class Pace:
    """The average rate over the last minute. Pure: the caller passes the time.

    Attributes:
        seen: (seconds, count) of the last minute, oldest first.
    """

    seen: deque[tuple[float, float]] = field(default_factory=deque)

    def note(self, now: float, done: float) -> None:
        """Record how much is done."""
        self.seen.append((now, done))
        while len(self.seen) > 2 and self.seen[1][0] <= now - _WINDOW_SECONDS:
            self.seen.popleft()

    @property
    def rate(self) -> float:
        """Count per second; 0 while it is unknown."""
        if len(self.seen) < 2 or self.seen[-1][0] <= self.seen[0][0]:
            return 0.0
        (then, before), (now, done) = self.seen[0], self.seen[-1]
        return (done - before) / (now - then)

    def seconds_left(self, total: float) -> float | None:
        """Seconds until `total` at this rate; None while the rate is unknown or 0."""
        return (total - self.seen[-1][1]) / self.rate if self.rate > 0 else None


def count(number: float) -> str:
    """A number of things, such as `1,234`."""
    return f"{number:,.0f}"


class Meter:
    """A progress display; `meter` makes one."""

    def __init__(self, console: Console, what: str, amount: Callable[[float], str], bar: Progress | None) -> None:
        self._console = console
        self._what = what
        self._amount = amount
        self._bar = bar
        self._task = None if bar is None else bar.add_task(what, total=None, status="")
        self._pace = Pace()
        self._next_line = time.monotonic() + _LINE_SECONDS
        self._last_sample = 0.0

    def update(self, done: int, total: int | None, note: str = "", *, last: bool = False) -> None:
        """Show the progress so far.

        Args:
            done: how much is done, since the start.
            total: None while it is unknown.
            note: text to show beside it.
            last: whether this is the final update.
        """
        now = time.monotonic()
        if last or now - self._last_sample >= _SAMPLE_SECONDS:
            self._last_sample = now
            self._pace.note(now, done)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, status=self._status(done, total, note))
        elif last or now >= self._next_line:
            self._next_line = now + _LINE_SECONDS
            line = f"{self._what}: {self._status(done, total, note)}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _status(self, done: int, total: int | None, note: str) -> str:
        left = None if total is None else self._pace.seconds_left(total)
        rate = f"{self._amount(self._pace.rate)}/s" if self._pace.rate else ""
        parts = [self._amount(done) if total is None else f"{self._amount(done)} of {self._amount(total)}", note, rate]
        parts += [f"{duration(left)} left"] if left is not None and total is not None and done < total else []
        return ", ".join(part for part in parts if part)


@contextmanager
def meter(what: str, console: Console | None = None, amount: Callable[[float], str] = count) -> Iterator[Meter]:
    """Show the progress of the block.

    Args:
        what: what is in progress, such as `export`.
        console: where to show it; None for standard error.
        amount: formats an amount, such as `count` or `size`.
    """
    console = console or Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield Meter(console, what, amount, None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[status]}", markup=False),
    )
    with Progress(*columns, console=console) as bar:
        yield Meter(console, what, amount, bar)


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them: `40 s`, `12 min`, `3.5 h`, `12 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 72 * 3600 else f"{seconds / 86400:.0f} days"


def size(number: float) -> str:
    """Bytes in powers of 1,000, such as `1.5 kB`."""
    return decimal(int(number))
