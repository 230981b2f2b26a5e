"""How far a long command is, how fast it goes and how long it will take.

A bar on a terminal, a line now and then elsewhere; all of it on standard error, so that standard output can be data.
"""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

_LINE_SECONDS = 5.0
_WINDOW_SECONDS = 60.0


@dataclass
class Pace:
    """The pace of the last minute. Pure: the clock is the caller's.

    Attributes:
        seen: (seconds, count) of a minute, oldest first.
    """

    seen: deque[tuple[float, float]] = field(default_factory=deque)

    def note(self, now: float, done: float) -> None:
        """Take down how far it is."""
        self.seen.append((now, done))
        while len(self.seen) > 2 and self.seen[1][0] <= now - _WINDOW_SECONDS:
            self.seen.popleft()

    @property
    def rate(self) -> float:
        """Per second; 0 when nothing is known yet."""
        if len(self.seen) < 2 or self.seen[-1][0] <= self.seen[0][0]:
            return 0.0
        (then, before), (now, done) = self.seen[0], self.seen[-1]
        return (done - before) / (now - then)

    def seconds_left(self, total: float) -> float | None:
        """Until the total is reached at this pace; None when nobody can say."""
        return (total - self.seen[-1][1]) / self.rate if self.rate > 0 else None


class Meter:
    """Told how far a command is."""

    def __init__(self, console: Console, what: str, bar: Progress | None) -> None:
        self._console = console
        self._what = what
        self._bar = bar
        self._task = None if bar is None else bar.add_task(what, total=None, told="")
        self._pace = Pace()
        self._next = time.monotonic() + _LINE_SECONDS
        self._noted = 0.0

    def update(self, done: int, total: int | None, note: str = "", *, last: bool = False) -> None:
        """Show it.

        Args:
            done: so far, since the very beginning.
            total: None while it is not known.
            note: what else is worth a word.
            last: whether this is the end.
        """
        now = time.monotonic()
        if last or now - self._noted >= 0.1:
            self._noted = now
            self._pace.note(now, done)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, told=self._told(done, total, note))
        elif last or now >= self._next:
            self._next = now + _LINE_SECONDS
            self._console.print(f"{self._what}: {self._told(done, total, note)}", markup=False)

    def _told(self, done: int, total: int | None, note: str) -> str:
        left = None if total is None else self._pace.seconds_left(total)
        rate = f"{self._pace.rate:,.0f}/s" if self._pace.rate else ""
        parts = [f"{done:,}" if total is None else f"{done:,} of {total:,}", note, rate]
        parts += [f"{duration(left)} left"] if left is not None and total is not None and done < total else []
        return ", ".join(part for part in parts if part)


@contextmanager
def meter(what: str) -> Iterator[Meter]:
    """Show progress while inside."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield Meter(console, what, None)
        return
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), console=console
    ) as bar:
        yield Meter(console, what, bar)


def duration(seconds: float) -> str:
    """Seconds as a person says them: `40 s`, `12 min`, `3.5 h`, `12 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 72 * 3600 else f"{seconds / 86400:.0f} days"


def size(count: float) -> str:
    """Bytes as a person says them, in powers of 1,000."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:,.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:,.1f} {unit}"
