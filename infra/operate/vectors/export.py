"""Write all vectors of the table to a file while scanning it."""

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
from infra.operate.function import fetch_model
from infra.operate.scan import Filter, Scan, WireItem, scan, table_size
from infra.operate.stack import DeployedStack
from infra.operate.vectors.batch import ATTRIBUTES, Batch, batches
from infra.operate.vectors.npz import npz_vectors
from infra.operate.vectors.parquet import parquet_vectors

# Size of a written batch: 4,096 vectors of dimension 512. Two segments with small pages keep memory low while reading.
BATCH_BYTES = 8 << 20
_PAGE_ITEMS = 500
_SEGMENTS = 2

SUFFIXES = (".parquet", ".npz")


class Writer(Protocol):
    """Writes vectors to a file, batch by batch."""

    def write(self, batch: Batch) -> None:
        """Append a batch."""


@dataclass(frozen=True)
class ExportQuery:
    """What to export.

    Attributes:
        out: the file; its suffix selects the format.
        fingerprint: the model's fingerprint or the start of it; None for the function's model.
        mixed: export vectors of all models, which are not comparable with each other.
    """

    out: Path
    fingerprint: str | None = None
    mixed: bool = False


def export_vectors(stack: DeployedStack, query: ExportQuery) -> dict[str, object]:
    """Write vectors and their objects' keys to a file; return their numbers, for --json.

    Raises:
        OperatorError: the file cannot be written, or there are no such vectors.
    """
    if query.out.suffix not in SUFFIXES:
        raise OperatorError(f"{shown(query.out)} must end in .parquet or .npz")
    wanted = "" if query.mixed else query.fingerprint or fetch_model(stack).fingerprint
    rows, dims = 0, Counter[int]()
    with atomic_write(query.out) as file, _writer(query, file) as writer:
        for batch in read_batches(stack, wanted):
            writer.write(batch)
            rows += len(batch.sources)
            dims[batch.dim] += len(batch.sources)
        if not rows:
            fingerprint = f" with the fingerprint {wanted[:8]}" if wanted else ""
            raise OperatorError(f"the table {stack.table} has no vectors{fingerprint}; `status` lists its models")
    counts = ", ".join(f"{count:,} vectors of dimension {dim}" for dim, count in sorted(dims.items()))
    print(f"{shown(query.out)}: {counts}; {size(query.out.stat().st_size)}")
    return {"file": str(query.out), "vectors": rows, "by_dimension": {str(dim): count for dim, count in dims.items()}}


@contextmanager
def _writer(query: ExportQuery, file: IO[bytes]) -> Iterator[Writer]:
    if query.out.suffix == ".parquet":
        with parquet_vectors(file, mixed=query.mixed) as parquet:
            yield parquet
    else:
        with npz_vectors(file, query.out.parent) as npz:
            yield npz


def read_batches(stack: DeployedStack, fingerprint: str) -> Iterator[Batch]:
    """Scan the table and yield its vectors in batches."""
    buffer: list[WireItem] = []
    estimate, scanned, found, buffer_bytes = table_size(stack).items, 0, 0, 0
    seen: set[str] = set()
    with meter("reading vectors") as progress:
        for page in scan(stack, _scan(fingerprint)):
            buffer += page.items
            scanned, found = scanned + page.scanned, found + len(page.items)
            seen |= {text_of(item, "fingerprint") or "" for item in page.items}
            if fingerprint and len(seen) > 1:
                raise OperatorError(
                    f"several fingerprints start with {fingerprint}: give more digits of one of "
                    f"{', '.join(sorted(seen))}"
                )
            progress.update(scanned, max(estimate, scanned), f"{found:,} vectors")
            buffer_bytes += sum(len(item["embedding"]["B"]) for item in page.items)
            if buffer_bytes >= BATCH_BYTES:
                yield from batches(buffer)
                buffer, buffer_bytes = [], 0
        yield from batches(buffer)
        progress.update(scanned, scanned, f"{found:,} vectors", last=True)


def _scan(fingerprint: str) -> Scan:
    values: dict[str, Any] = {":success": {"S": "success"}}
    expression = "#status = :success"
    if fingerprint:
        expression += " AND begins_with(#fingerprint, :fingerprint)"
        values[":fingerprint"] = {"S": fingerprint}
    attributes = (*ATTRIBUTES, "status")
    return Scan(attributes, Filter(expression, values), _PAGE_ITEMS, _SEGMENTS)
