"""The answer of a search as a table, and as a page with the pictures."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.common.contact_sheet import Section, Tile, write_contact_sheet
from infra.common.text import printable
from infra.common.thumbnails import ReadPicture, Thumbnail, thumbnails

_LABELS = 3
_PIPED_COLUMNS = 200

Answer = Mapping[str, Any]


def print_hits(answer: Answer) -> None:
    """Print the hits as a table, and how to see more of them."""
    hits: Sequence[Answer] = answer["hits"]
    if not hits:
        print("Nothing was found.")
        return
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(highlight=False, soft_wrap=True, width=_PIPED_COLUMNS)
    console.print(hits_table(hits))
    if answer.get("next"):
        print(f"There are more hits: raise -k, or add --next {answer['next']}", file=sys.stderr)


def hits_table(hits: Sequence[Answer]) -> Table:
    """A row for each hit."""
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("score", justify="right")
    table.add_column("source", overflow="fold")
    columns = {"labels": labels_text, "size": size_text, "similar": similar_text}
    shown = {name: text for name, text in columns.items() if any(map(text, hits))}
    for name in shown:
        table.add_column(name, overflow="fold")
    for number, hit in enumerate(hits, start=1):
        cells = [f"{rank_of(hit):.4f}", printable(hit["source"] or ""), *(text(hit) for text in shown.values())]
        table.add_row(str(number), *map(Text, cells))
    return table


def rank_of(hit: Answer) -> float:
    """What hits are ordered by: the label's score where a word was searched for by label, else the cosine."""
    rank: float = hit.get("label_score", hit["score"])
    return rank


def labels_text(hit: Answer) -> str:
    """The first labels with their scores."""
    labels = hit["labels"][:_LABELS]
    return printable(", ".join(f"{label['label']} {label['score']:.2f}" for label in labels))


def size_text(hit: Answer) -> str:
    """Width and height in pixels."""
    return f"{hit['width']}x{hit['height']}" if hit["width"] and hit["height"] else ""


def similar_text(hit: Answer) -> str:
    """How many hits were left out because they are similar."""
    return f"+{hit['duplicates']}" if hit["duplicates"] else ""


def write_hits_page(answer: Answer, query: str, path: Path, read: ReadPicture) -> None:
    """Write a page with the pictures of the hits.

    Raises:
        OperatorError: it cannot be written.
    """
    hits: Sequence[Answer] = answer["hits"]
    pictures = thumbnails((hit["source"] for hit in hits if hit["source"]), read)
    tiles = [_tile(number, hit, pictures) for number, hit in enumerate(hits, start=1)]
    summary = f"{len(hits)} hits, model {answer['model']}, fingerprint {answer['fingerprint'][:8]}"
    write_contact_sheet(path, query, summary, [Section("", tiles)])


def _tile(number: int, hit: Answer, pictures: Mapping[str, Thumbnail]) -> Tile:
    source = hit["source"] or ""
    lines = [source.removeprefix("s3://"), labels_text(hit), size_text(hit), similar_text(hit)]
    picture = pictures.get(source, Thumbnail(None, "the index does not name its object"))
    return Tile(f"{number}. {rank_of(hit):.4f}", lines, picture)
