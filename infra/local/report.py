"""The demo's output: a table of outcomes and `results.jsonl`. Pure, except `write_jsonl`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import orjson
from rich import box
from rich.table import Table
from rich.text import Text

from infra.common.files import atomic_write
from infra.common.items import Item
from infra.common.text import printable

_ALL_ROWS_UP_TO = 40
_FIRST, _LAST = 20, 5
_NONE = "—"

# The sample photos' rows fit into 80 columns.
_LABEL_WIDTH = 14


def write_jsonl(items: Sequence[Item], path: Path) -> None:
    """Write items as JSON, one per line, with `embedding` as a list of floats. The file is replaced atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    option = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
    with atomic_write(path) as file:
        file.writelines(orjson.dumps(item, option=option) for item in items)


def shown_rows(items: Sequence[Item]) -> list[Item]:
    """The items to show as rows: all, or if there are many the first and last ones."""
    if len(items) <= _ALL_ROWS_UP_TO:
        return list(items)
    return [*items[:_FIRST], *items[-_LAST:]]


def table(
    items: Sequence[Item], prefix: str, milliseconds: Mapping[str, float], near: Mapping[str, tuple[str, float]]
) -> Table:
    """The outcome of each image, and the best of its labels.

    Args:
        items: plain items, sorted by `source`.
        prefix: common prefix of every `source`; the rest is the file's name.
        milliseconds: `source` to the function's processing time.
        near: `source` to the nearest neighbour's `source` and their cosine similarity.
    """
    outcomes = Table(header_style="bold", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("file", "status", "dim", "ms", "label", "nearest neighbour"):
        justify: Literal["left", "right"] = "right" if name in {"dim", "ms"} else "left"
        outcomes.add_column(name, justify=justify, overflow="fold", max_width=_LABEL_WIDTH if name == "label" else None)
    rows = shown_rows(items)
    for number, item in enumerate(rows):
        if number == _FIRST and len(rows) < len(items):
            outcomes.add_row(Text(f"… {len(items) - len(rows)} more …", style="dim"))
        outcomes.add_row(*_cells(item, prefix, milliseconds, near))
    return outcomes


def _cells(
    item: Item, prefix: str, milliseconds: Mapping[str, float], near: Mapping[str, tuple[str, float]]
) -> tuple[Text, ...]:
    source = item["source"]
    status: str = item.get("error_code") or item["status"]
    neighbour = _NONE
    if source in near:
        other, cosine = near[source]
        neighbour = f"{printable(other.removeprefix(prefix))} {cosine:.2f}"
    return (
        Text(printable(source.removeprefix(prefix))),
        Text(status, style="green" if item["status"] == "success" else "yellow"),
        Text(str(item.get("embedding_dim", _NONE))),
        Text(f"{milliseconds[source]:.0f}" if source in milliseconds else _NONE),
        Text(_best_label(item)),
        Text(neighbour),
    )


def _best_label(item: Item) -> str:
    labels = item.get("labels")
    return f"{printable(labels[0]['label'])} {labels[0]['score']:.2f}" if labels else _NONE


def counts(items: Sequence[Item]) -> str:
    """The number of items by outcome, such as `3 success, 1 unsupported_format`."""
    return ", ".join(f"{number} {status}" for status, number in tally(items).items())


def tally(items: Sequence[Item]) -> dict[str, int]:
    """The number of items by outcome, the most frequent first."""
    return dict(Counter(str(item.get("error_code", item["status"])) for item in items).most_common())
