"""Progress of a download: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

# Takes the bytes that are there, and the bytes of the whole, or None where that is not known.
Watch = Callable[[int, int | None], None]

_LINE_SECONDS = 5.0


@contextmanager
def download_progress(console: Console, target: Path) -> Iterator[Watch]:
    """Give a function to call with the bytes so far and the bytes in all."""
    if not console.is_terminal:
        yield _Lines(console, target.name)
        return
    # A file's name is no markup.
    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(target.name, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


class _Lines:
    """Prints where it stands every few seconds, and at the end."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._next = time.monotonic() + _LINE_SECONDS

    def __call__(self, done: int, total: int | None) -> None:
        if time.monotonic() >= self._next or done == total:
            self._next = time.monotonic() + _LINE_SECONDS
            whole = "" if total is None else f" of {decimal(total)}"
            self._console.print(f"{self._name}: {decimal(done)}{whole}", markup=False, highlight=False)
