"""Every case of every format."""

from collections.abc import Iterator

from tests.formats import bmps, boxed, jpegs, pngs, tiffs
from tests.formats.case import Case

MODULES = (tiffs, pngs, bmps, jpegs, boxed)


def cases() -> Iterator[Case]:
    for module in MODULES:
        yield from module.cases()
