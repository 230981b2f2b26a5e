"""Progress of uploads and their outcomes."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from infra.common.progress import meter
from infra.local.outcomes import Watch


@contextmanager
def progress(console: Console, total: int) -> Iterator[Watch]:
    """Give a function to call with the number of uploads and the number of outcomes so far."""
    with meter("outcomes", console) as display:

        def watch(uploaded: int, ended: int) -> None:
            display.update(ended, total, f"{uploaded:,} uploaded", last=ended == total)

        yield watch
