"""The results as tables, on a terminal and as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Found = Mapping[str, Any]

_MET = {True: "yes", False: "NO", None: ""}
# A figure named "…, to …" is compared with what its name says instead of with naive.
_FIGURES = ["figure", "naive, or as named", "dropvec", "ratio", "quartiles", "limit", "met", "note"]

_LIMITED_NOTE = "in brackets: the goal; ratio: the median of the pairs' ratios"

# Beginnings of the titles of the tables in docs/speed.md.
_PUBLISHED = ("dropvec beside naive", "alternatives", "dollars for a million")


@dataclass(frozen=True)
class Shown:
    """A table of texts."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def tables(parts: Mapping[str, Found]) -> Iterator[Shown]:
    """Every table of a run, those of figures with limits first."""
    figures = [figure for part in parts.values() for figure in part["figures"]]
    limited = [_figure_row(figure) for figure in figures if figure["limit"] is not None]
    if limited:
        yield Shown("dropvec beside naive, on one core, pair by pair", _FIGURES, limited, _LIMITED_NOTE)
    others = [_figure_row(figure) for figure in figures if figure["limit"] is None]
    if others:
        yield Shown("without a limit", _FIGURES, others)
    for part in parts.values():
        for series in part["series"]:
            if len(series["at"]) <= 12:
                yield _series(series)
        for grid in part["grids"]:
            yield Shown(grid["name"], grid["columns"], grid["rows"], grid["note"])


def _figure_row(figure: Found) -> list[str]:
    unit, ratio = figure["unit"], figure["ratio"]
    limit = "" if figure["limit"] is None else f"{figure['limit']:g}"
    goal = f" ({figure['goal']:.2f})" if figure["goal"] is not None else ""
    return [
        figure["name"],
        _number(figure["theirs"], unit),
        _number(figure["ours"], unit),
        "" if ratio is None else f"{ratio['middle']:.3f}",
        "" if ratio is None else f"{ratio['low']:.3f} to {ratio['high']:.3f}",
        limit + goal,
        _MET[figure["met"]],
        figure["note"],
    ]


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    digits = 6 if not unit else 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".strip()


def _series(series: Found) -> Shown:
    rows = [[side, *(f"{value:,.1f}" for value in values)] for side, values in series["values"].items()]
    columns = [series["axis"], *(f"{place:g}" for place in series["at"])]
    return Shown(f"{series['name']}, {series['unit']}", columns, rows)


def notes(parts: Mapping[str, Found]) -> list[str]:
    """The notes of all parts."""
    return [f"{name}: {note}" for name, part in parts.items() for note in part["notes"]]


def show(console: Console, results: Found) -> None:
    """Print all tables and notes."""
    for shown in tables(results["parts"]):
        console.print()
        console.print(_rich(shown))
        if shown.note:
            console.print(Text(shown.note, style="dim"))
    for note in notes(results["parts"]):
        console.print(Text(note, style="dim"))
    console.print(Text(", ".join(f"{name} {value}" for name, value in results["machine"].items()), style="dim"))


def _rich(shown: Shown) -> Table:
    made = Table(title=shown.title, title_justify="left", title_style="bold", header_style="bold", pad_edge=False)
    for number, column in enumerate(shown.columns):
        right = number and column not in {"note", "source", "a", "version"}
        made.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in shown.rows:
        made.add_row(*(Text(cell, style="red" if cell == "NO" else "") for cell in row))
    return made


def published(results: Found) -> str:
    """The tables of docs/speed.md, as Markdown."""
    chosen = (shown for shown in tables(results["parts"]) if shown.title.startswith(_PUBLISHED))
    return "\n".join(_markdown(shown) for shown in chosen) + "\n"


def markdown(results: Found) -> str:
    """All tables and notes as Markdown."""
    parts = [_markdown(shown) for shown in tables(results["parts"])]
    parts += [f"- {note}" for note in notes(results["parts"])]
    machine = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    return "\n".join([f"Model: {results['model']}. {machine}.", "", *parts]) + "\n"


def _markdown(shown: Shown) -> str:
    head = f"| {' | '.join(shown.columns)} |\n|{'|'.join(['---', *['---:'] * (len(shown.columns) - 1)])}|"
    rows = "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in shown.rows)
    note = f"\n{shown.note}\n" if shown.note else ""
    return f"**{shown.title}**\n\n{head}\n{rows}\n{note}"
