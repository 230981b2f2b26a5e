"""Progress of uploads and outcomes: bars on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from infra.local.outcomes import Watch

_LINE_SECONDS = 5.0


@contextmanager
def progress(console: Console, total: int) -> Iterator[Watch]:
    """Give a function to call with the number uploaded and the number of outcomes so far."""
    if not console.is_terminal:
        yield _Lines(console, total)
        return
    columns = (TextColumn("{task.description:9}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        uploads = bars.add_task("uploads", total=total)
        outcomes = bars.add_task("outcomes", total=total)

        def watch(uploaded: int, ended: int) -> None:
            bars.update(uploads, completed=uploaded)
            bars.update(outcomes, completed=ended)

        yield watch


class _Lines:
    """Prints where it stands every few seconds, and at the end."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._next = time.monotonic() + _LINE_SECONDS

    def __call__(self, uploaded: int, ended: int) -> None:
        if time.monotonic() >= self._next or ended == self._total:
            self._next = time.monotonic() + _LINE_SECONDS
            self._console.print(f"uploaded {uploaded}/{self._total}, outcomes {ended}/{self._total}")
