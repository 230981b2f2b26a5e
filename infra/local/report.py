"""What the demo prints and writes of its outcomes. Pure, but for `write_jsonl`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
from rich.table import Table
from rich.text import Text

from infra.common.files import atomic_write
from infra.common.items import Item
from infra.common.text import printable

_ALL_ROWS_UP_TO = 40
_FIRST, _LAST = 20, 5
_NONE = "—"


def write_jsonl(items: Sequence[Item], path: Path) -> None:
    """One item a line, as JSON; `embedding` is a list of floats. The file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    option = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
    with atomic_write(path) as file:
        file.writelines(orjson.dumps(item, option=option) for item in items)


def shown_rows(items: Sequence[Item]) -> list[Item]:
    """The items that get a row of their own: all of a few, the ends of many."""
    if len(items) <= _ALL_ROWS_UP_TO:
        return list(items)
    return [*items[:_FIRST], *items[-_LAST:]]


def table(
    items: Sequence[Item], prefix: str, milliseconds: Mapping[str, float], near: Mapping[str, tuple[str, float]]
) -> Table:
    """The outcome of each image.

    Args:
        items: plain items, sorted by `source`.
        prefix: what every `source` starts with; the file's name is the rest.
        milliseconds: `source` to the function's time for it.
        near: `source` to its nearest neighbour's and their cosine.
    """
    made = Table(header_style="bold", pad_edge=False)
    for name in ("file", "status", "dim", "ms", "nearest neighbour"):
        made.add_column(name, justify="right" if name in {"dim", "ms"} else "left", overflow="fold")
    rows = shown_rows(items)
    for number, item in enumerate(rows):
        if number == _FIRST and len(rows) < len(items):
            made.add_row(Text(f"… {len(items) - len(rows)} more …", style="dim"))
        made.add_row(*_cells(item, prefix, milliseconds, near))
    return made


def _cells(
    item: Item, prefix: str, milliseconds: Mapping[str, float], near: Mapping[str, tuple[str, float]]
) -> tuple[Text, ...]:
    source = item["source"]
    status: str = item.get("error_code") or item["status"]
    neighbour = _NONE
    if source in near:
        other, cosine = near[source]
        neighbour = f"{printable(other.removeprefix(prefix))}  {cosine:.3f}"
    return (
        Text(printable(source.removeprefix(prefix))),
        Text(status, style="green" if item["status"] == "success" else "yellow"),
        Text(str(item.get("embedding_dim", _NONE))),
        Text(f"{milliseconds[source]:.0f}" if source in milliseconds else _NONE),
        Text(neighbour),
    )


def counts(items: Sequence[Item]) -> str:
    """How many of each outcome, such as `3 success, 1 unsupported_format`."""
    tally = Counter(item.get("error_code", item["status"]) for item in items)
    return ", ".join(f"{number} {status}" for status, number in tally.most_common())
