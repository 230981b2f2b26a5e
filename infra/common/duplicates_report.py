"""Groups of near-identical pictures as a table, as CSV, as JSON, and as a page with the pictures."""

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.common.contact_sheet import Section, Tile, write_contact_sheet
from infra.common.duplicates import (
    Group,
    Vectors,
    block_count,
    estimate_seconds,
    extra_pictures,
    find_groups,
    unit_rows,
)
from infra.common.errors import OperatorError, UsageError
from infra.common.files import atomic_write
from infra.common.progress import duration, meter, size
from infra.common.text import printable
from infra.common.thumbnails import ReadPicture, thumbnails

LEAST_COSINE = 0.98

_SHOWN_GROUPS, _SHOWN_MEMBERS = 40, 5
_PAGE_GROUPS, _PAGE_MEMBERS = 200, 24
_PIPED_COLUMNS = 200
_LONG_SECONDS = 5.0


@dataclass(frozen=True)
class DuplicatesOptions:
    """What to find, and where to write it.

    Attributes:
        least_cosine: how similar two pictures must be.
        csv: file to write, a row for each picture of a group; None for none.
        html: page to write; None for none.
        as_json: whether the caller prints JSON instead of the table.
    """

    least_cosine: float = LEAST_COSINE
    csv: Path | None = None
    html: Path | None = None
    as_json: bool = False


def check_options(options: DuplicatesOptions) -> None:
    """Check the options before anything is read.

    Raises:
        UsageError: the least cosine is out of range.
    """
    if not 0 < options.least_cosine <= 1:
        raise UsageError(f"--least must be above 0 and at most 1, not {options.least_cosine:g}")


def report_duplicates(
    sources: Sequence[str], vectors: Vectors, options: DuplicatesOptions, read: ReadPicture
) -> dict[str, Any]:
    """Find the groups; print them, write the files, and return them for --json.

    Raises:
        OperatorError: there are no vectors, or a file cannot be written.
    """
    if not sources:
        raise OperatorError("there are no vectors to compare")
    units = unit_rows(vectors)
    _announce(units)
    with meter("comparing") as progress:
        total = block_count(len(units))
        groups = find_groups(units, options.least_cosine, lambda done: progress.update(done, total, "blocks"))
        progress.update(total, total, "blocks", last=True)
    if options.csv is not None:
        _write_csv(options.csv, sources, groups)
    if options.html is not None:
        _write_page(options.html, sources, groups, options.least_cosine, read)
    if not options.as_json:
        _print_groups(sources, groups)
    return {
        "vectors": len(sources),
        "least_cosine": options.least_cosine,
        "groups": [
            [{"source": sources[row], "cosine": round(cosine, 6)} for row, cosine in _rows(group)] for group in groups
        ],
    }


def _announce(units: Vectors) -> None:
    seconds = estimate_seconds(units)
    if seconds >= _LONG_SECONDS:
        memory = size(2 * units.nbytes)
        print(
            f"Comparing {len(units):,} vectors with each other will take about {duration(seconds)} and {memory} of "
            "memory on this machine.",
            file=sys.stderr,
        )


def _rows(group: Group) -> Iterator[tuple[int, float]]:
    return zip(group.members, group.cosines, strict=True)


def _print_groups(sources: Sequence[str], groups: Sequence[Group]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(highlight=False, soft_wrap=True, width=_PIPED_COLUMNS)
    if groups:
        console.print(_table(sources, groups))
    left = len(groups) - _SHOWN_GROUPS
    more = f" The table shows the first {_SHOWN_GROUPS}; --csv and --html write all." if left > 0 else ""
    console.print(
        f"{len(groups):,} groups among {len(sources):,} pictures; {extra_pictures(groups):,} could go if one of each "
        f"group stayed.{more}"
    )


def _table(sources: Sequence[str], groups: Sequence[Group]) -> Table:
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("group", justify="right")
    table.add_column("cosine", justify="right")
    table.add_column("source", overflow="fold")
    for number, group in enumerate(groups[:_SHOWN_GROUPS], start=1):
        for place, (row, cosine) in enumerate(list(_rows(group))[:_SHOWN_MEMBERS]):
            table.add_row("" if place else str(number), f"{cosine:.4f}", Text(printable(sources[row])))
        if len(group.members) > _SHOWN_MEMBERS:
            table.add_row("", "", Text(f"… {len(group.members) - _SHOWN_MEMBERS:,} more …", style="dim"))
    return table


def _write_csv(path: Path, sources: Sequence[str], groups: Sequence[Group]) -> None:
    with atomic_write(path) as file:
        text = _Utf8(file)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["group", "source", "cosine"])
        for number, group in enumerate(groups, start=1):
            writer.writerows([number, sources[row], f"{cosine:.6f}"] for row, cosine in _rows(group))


class _Utf8:
    """Lets csv write to a binary file."""

    def __init__(self, file: Any) -> None:  # noqa: ANN401 - a binary file
        self._file = file

    def write(self, text: str) -> int:
        return int(self._file.write(text.encode("utf-8", "surrogateescape")))


def _write_page(
    path: Path, sources: Sequence[str], groups: Sequence[Group], least_cosine: float, read: ReadPicture
) -> None:
    shown = [list(_rows(group))[:_PAGE_MEMBERS] for group in groups[:_PAGE_GROUPS]]
    pictures = thumbnails((sources[row] for rows in shown for row, _ in rows), read)

    def tile(row: int, cosine: float) -> Tile:
        return Tile(f"{cosine:.4f}", [sources[row].removeprefix("s3://")], pictures[sources[row]])

    sections = [
        Section(f"Group {number}: {len(group.members)} pictures", [tile(*member) for member in members])
        for number, (group, members) in enumerate(zip(groups, shown, strict=False), start=1)
    ]
    limit = f"; the page shows the first {_PAGE_GROUPS}" if len(groups) > _PAGE_GROUPS else ""
    summary = (
        f"{len(groups):,} groups among {len(sources):,} pictures, with a cosine of at least {least_cosine:g}; "
        f"{extra_pictures(groups):,} could go if one of each group stayed{limit}"
    )
    write_contact_sheet(path, "Near-identical pictures", summary, sections)
