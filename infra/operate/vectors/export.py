"""Write all vectors of a table to a file, as they come."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from handler.results.item import text_of
from infra.common.errors import OperatorError
from infra.common.files import atomic_write
from infra.common.paths import shown
from infra.common.progress import meter, size
from infra.operate.account import Account
from infra.operate.function import ask_model
from infra.operate.scan import Filter, Scan, WireItem, scan, table_size
from infra.operate.vectors.batch import ATTRIBUTES, Batch, batches
from infra.operate.vectors.npz import npz_vectors
from infra.operate.vectors.parquet import parquet_vectors

# Vectors that are written together: 4,096 of 512 numbers. Two pages at a time keep what is read as small.
BATCH_BYTES = 8 << 20
_PAGE_ITEMS = 500
_SEGMENTS = 2

FORMS = (".parquet", ".npz")


class Writer(Protocol):
    """Takes vectors, batch by batch."""

    def write(self, batch: Batch) -> None:
        """Append a batch."""


@dataclass(frozen=True)
class Wish:
    """What is to be exported.

    Attributes:
        out: the file; how it ends says what it becomes.
        fingerprint: of the vectors, or how it begins; None for the function's own model's.
        mixed: vectors of every model, which cannot be compared with each other.
    """

    out: Path
    fingerprint: str | None = None
    mixed: bool = False


def export_vectors(account: Account, wish: Wish) -> None:
    """Write them, with their keys; errors and tombstones have none.

    Raises:
        OperatorError: the file cannot be written, or there are no such vectors.
    """
    if wish.out.suffix not in FORMS:
        raise OperatorError(f"{shown(wish.out)} must end in .parquet or .npz")
    wanted = "" if wish.mixed else wish.fingerprint or ask_model(account).fingerprint
    rows, dims = 0, Counter[int]()
    with atomic_write(wish.out) as file, _writer(wish, file) as writer:
        for batch in read_batches(account, wanted):
            writer.write(batch)
            rows += len(batch.sources)
            dims[batch.dim] += len(batch.sources)
        if not rows:
            of = f" of the fingerprint {wanted[:8]}" if wanted else ""
            raise OperatorError(f"the table {account.table} has no vectors{of}; `status` tells what it has")
    what = ", ".join(f"{count:,} of {dim} numbers" for dim, count in sorted(dims.items()))
    print(f"{shown(wish.out)}: {what}; {size(wish.out.stat().st_size)}")


@contextmanager
def _writer(wish: Wish, file: IO[bytes]) -> Iterator[Writer]:
    if wish.out.suffix == ".parquet":
        with parquet_vectors(file, mixed=wish.mixed) as parquet:
            yield parquet
    else:
        with npz_vectors(file, wish.out.parent) as npz:
            yield npz


def read_batches(account: Account, fingerprint: str) -> Iterator[Batch]:
    """Vectors as they are read, put together to batches."""
    held: list[WireItem] = []
    about, looked_at, taken, held_bytes = table_size(account).items, 0, 0, 0
    seen: set[str] = set()
    with meter("export") as told:
        for page in scan(account, _scan(fingerprint)):
            held += page.items
            looked_at, taken = looked_at + page.looked_at, taken + len(page.items)
            seen |= {text_of(item, "fingerprint") or "" for item in page.items}
            if fingerprint and len(seen) > 1:
                raise OperatorError(f"{fingerprint} begins several: name one of {', '.join(sorted(seen))}")
            told.update(looked_at, max(about, looked_at), f"{taken:,} vectors")
            held_bytes += sum(len(item["embedding"]["B"]) for item in page.items)
            if held_bytes >= BATCH_BYTES:
                yield from batches(held)
                held, held_bytes = [], 0
        yield from batches(held)
        told.update(looked_at, looked_at, f"{taken:,} vectors", last=True)


def _scan(fingerprint: str) -> Scan:
    values: dict[str, Any] = {":success": {"S": "success"}}
    expression = "#status = :success"
    if fingerprint:
        expression += " AND begins_with(#fingerprint, :fingerprint)"
        values[":fingerprint"] = {"S": fingerprint}
    attributes = (*ATTRIBUTES, "status")
    return Scan(attributes, Filter(expression, values), _PAGE_ITEMS, _SEGMENTS)
