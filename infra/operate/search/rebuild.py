"""Make the indexes again from the table: touch every item, and remove vectors whose item is gone.

The touched items come to the indexer through the table's stream, in their order with all other changes. So a rebuild
needs no pause of uploads or searches, and can be repeated.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from handler.results.item import text_of
from infra.common.files import atomic_write, create_folder
from infra.common.paths import BUILD
from infra.common.progress import meter
from infra.operate.prices import PRICES
from infra.operate.scan import Filter, Scan, TableSize, scan, table_size
from infra.operate.search.indexes import Indexes, WireVector, require_indexes
from infra.operate.search.items import add_tombstone, iso_now, make_toucher, read_items, writers
from infra.operate.stack import DeployedStack

FOLDER = BUILD / "rebuild"


@dataclass(frozen=True)
class StartFile:
    """Remembers when a rebuild began, so that the same command resumes it: items touched since then are done.

    Attributes:
        path: the file; absent when no rebuild has to be resumed.
    """

    path: Path

    @classmethod
    def of(cls, stack: DeployedStack) -> "StartFile":
        """The file of a stack's table."""
        task = [stack.session.region_name, stack.endpoint, stack.table]
        return cls(FOLDER / f"{hashlib.sha256(orjson.dumps(task)).hexdigest()[:16]}.json")

    def load_or_begin(self, *, restart: bool) -> str:
        """When the rebuild to resume began; a new one begins now."""
        try:
            started_at = None if restart else orjson.loads(self.path.read_bytes())["started_at"]
        except (OSError, ValueError, KeyError, TypeError):
            started_at = None
        if isinstance(started_at, str):
            print(f"Resuming the rebuild that began at {started_at}; --restart begins a new one.")
            return started_at
        begun = iso_now()
        create_folder(self.path.parent)
        with atomic_write(self.path) as file:
            file.write(orjson.dumps({"started_at": begun}))
        return begun

    def delete(self) -> None:
        """The rebuild is complete."""
        self.path.unlink(missing_ok=True)


def rebuild(stack: DeployedStack, rate: float | None, *, restart: bool) -> dict[str, int]:
    """Touch all items and remove vectors without an item; return the numbers, for --json.

    Args:
        stack: the stack.
        rate: maximum items a second; None for no limit.
        restart: begin anew although an earlier rebuild can be resumed.

    Raises:
        OperatorError: the stack has no search, or DynamoDB throttles every attempt.
    """
    indexes = require_indexes(stack)
    start_file = StartFile.of(stack)
    started_at = start_file.load_or_begin(restart=restart)
    size = table_size(stack)
    print(f"About {size.items:,} items; touching them costs about ${touch_dollars(size):,.2f} of write units.")
    touched = _touch_all(stack, started_at, size.items, rate)
    removed = _remove_orphans(stack, indexes)
    start_file.delete()
    print(
        f"Touched {touched:,} items; {removed:,} vectors had no item. The indexer applies the changes; `index status` "
        "shows how far it is behind, and `index verify` whether all is right."
    )
    return {"touched": touched, "vectors_without_item": removed}


def touch_dollars(size: TableSize) -> float:
    """Cost of touching every item: DynamoDB charges a write unit for each KB of the whole item."""
    if not size.items:
        return 0.0
    return size.items * math.ceil(size.bytes / size.items / 1024) * PRICES["dynamodb_write_unit"].dollars


def _touch_all(stack: DeployedStack, started_at: str, estimate: int, rate: float | None) -> int:
    not_yet: dict[str, Any] = {":started_at": {"S": started_at}}
    only = Filter("attribute_not_exists(#touched_at) OR #touched_at < :started_at", not_yet)
    touched = scanned = 0
    with writers() as pool, meter("touching") as progress:
        toucher = make_toucher(stack, pool, rate)
        for page in scan(stack, Scan(("source", "touched_at"), only)):
            sources = [text_of(item, "source") or "" for item in page.items]
            missing = toucher.touch(sources)  # removed meanwhile, which the stream delivers, too
            touched += len(sources) - len(missing)
            scanned += page.scanned
            progress.update(scanned, max(estimate, scanned), f"{touched:,} touched")
        progress.update(scanned, scanned, f"{touched:,} touched", last=True)
    return touched


def _remove_orphans(stack: DeployedStack, indexes: Indexes) -> int:
    checked, removed = 0, set[str]()
    with meter("vectors without an item") as progress:
        for index in indexes.find_all():
            for page in indexes.pages(index.name, metadata=True):
                removed |= {source for source in orphans(stack, page) if add_tombstone(stack, source)}
                checked += len(page)
                progress.update(checked, None, f"{len(removed):,} found")
        progress.update(checked, None, f"{len(removed):,} found", last=True)
    return len(removed)


def orphans(stack: DeployedStack, page: Sequence[WireVector]) -> Iterator[str]:
    """The sources of those vectors of a page that have no item."""
    sources = list(dict.fromkeys(source for vector in page if (source := source_of_vector(vector))))
    items = read_items(stack, sources, ["status"])
    return (source for source in sources if source not in items)


def source_of_vector(vector: WireVector) -> str | None:
    """The object that a vector's metadata names; None where another program wrote the vector."""
    source = vector.get("metadata", {}).get("source")
    return source if isinstance(source, str) else None
