"""Vectors in a file: an export (.parquet or .npz), or the items that `demo` writes (results.jsonl)."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from handler.index.metadata import metadata_of
from handler.results.item import StoredItem
from infra.common.errors import OperatorError, first_line
from infra.common.paths import shown

SUFFIXES = (".parquet", ".npz", ".jsonl")

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class VectorFile:
    """Vectors of one model.

    Attributes:
        model: its name.
        fingerprint: of the model.
        items: an item for each vector, as far as the file has its attributes, without the vector itself.
        vectors: (n, dim) float32.
    """

    model: str
    fingerprint: str
    items: Sequence[StoredItem]
    vectors: Vectors

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return int(self.vectors.shape[1])

    @property
    def sources(self) -> list[str]:
        """The objects, `s3://bucket/key`."""
        return [item.source for item in self.items]

    def metadata(self, row: int) -> dict[str, Any]:
        """What an index would hold beside a vector."""
        return metadata_of(self.items[row])


def load_vectors(path: Path, fingerprint: str | None = None) -> VectorFile:
    """Read a file.

    Args:
        path: the file.
        fingerprint: of the model, or the start of it; needed only for a file with vectors of several models.

    Raises:
        OperatorError: the file cannot be read, has no vectors, or has vectors of several models.
    """
    readers = {".parquet": _read_parquet, ".npz": _read_npz, ".jsonl": _read_jsonl}
    if path.suffix not in readers:
        raise OperatorError(f"{shown(path)} must end in {', '.join(SUFFIXES)}: an export, or the results of `demo`")
    try:
        rows = [row for row in readers[path.suffix](path) if row.fingerprint.startswith(fingerprint or "")]
    except OSError as error:
        raise OperatorError(f"cannot read {shown(path)}: {error.strerror or first_line(error)}") from None
    except (ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile) as error:
        raise OperatorError(f"{shown(path)} is not a file that `export` or `demo` has written ({error!r})") from None
    return _one_model(path, rows, fingerprint)


@dataclass(frozen=True)
class _Rows:
    """Consecutive vectors of one model."""

    model: str
    fingerprint: str
    items: Sequence[StoredItem]
    vectors: Vectors


def _one_model(path: Path, rows: Sequence[_Rows], fingerprint: str | None) -> VectorFile:
    rows = [some for some in rows if len(some.items)]
    found = {some.fingerprint: some.model for some in rows}
    if not found:
        of_model = f" with the fingerprint {fingerprint}" if fingerprint else ""
        raise OperatorError(f"{shown(path)} has no vectors{of_model}")
    if len(found) > 1:
        listed = ", ".join(f"{print_[:8]} ({name})" for print_, name in sorted(found.items()))
        raise OperatorError(f"{shown(path)} has vectors of several models: choose one with --fingerprint: {listed}")
    ((print_, name),) = found.items()
    items = [item for some in rows for item in some.items]
    vectors = rows[0].vectors if len(rows) == 1 else np.concatenate([some.vectors for some in rows])
    return VectorFile(name, print_, items, np.ascontiguousarray(vectors, dtype=np.float32))


def _read_npz(path: Path) -> Iterator[_Rows]:
    with np.load(path) as archive:
        vectors = archive["vectors"]
        sources = [source.decode() for source in archive["sources"].tolist()]
        etags = [etag.decode() for etag in archive["etags"].tolist()]
        if vectors.ndim != 2 or not len(vectors) == len(sources) == len(etags):
            raise ValueError(f"vectors {vectors.shape}, {len(sources)} sources, {len(etags)} etags")
        items = [StoredItem(source=source, etag=etag) for source, etag in zip(sources, etags, strict=True)]
        yield _Rows(str(archive["model"]), str(archive["fingerprint"]), items, vectors)


def _read_parquet(path: Path) -> Iterator[_Rows]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - for this format only
        import pyarrow.parquet  # noqa: PLC0415 - likewise; defines `pa.parquet`
    except ImportError:
        raise OperatorError("reading Parquet needs pyarrow: install the extra `vectors`, or export to .npz") from None
    arrow: Any = pa
    try:
        with arrow.parquet.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                yield from _row_group(file.read_row_group(number))
    except arrow.ArrowException as error:
        raise ValueError(first_line(error)) from None


def _row_group(table: Any) -> Iterator[_Rows]:  # noqa: ANN401 - pyarrow ships no types
    """A row group of `export`, whose rows are of one dimension, and of one model or, with `--mixed`, of several."""
    names = ("source", "etag", "model", "fingerprint")
    sources, etags, models, fingerprints = (table.column(name).to_pylist() for name in names)
    flat = table.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    vectors = flat.astype(np.float32, copy=False).reshape(len(sources), -1)
    for model, fingerprint in sorted(set(zip(models, fingerprints, strict=True))):
        chosen = [row for row, other in enumerate(fingerprints) if other == fingerprint]
        items = [StoredItem(source=sources[row], etag=etags[row]) for row in chosen]
        whole = len(chosen) == len(sources)
        yield _Rows(model, fingerprint, items, vectors if whole else vectors[chosen])


def _read_jsonl(path: Path) -> Iterator[_Rows]:
    """Items as `demo` writes them; those without a vector are left out."""
    groups: dict[tuple[str, str], tuple[list[StoredItem], list[Vectors]]] = {}
    with path.open("rb") as file:
        for line in file:
            fields = orjson.loads(line) if line.strip() else {}
            if "embedding" in fields:
                items, vectors = groups.setdefault((fields["model"], fields["fingerprint"]), ([], []))
                items.append(_item(fields))
                vectors.append(np.array(fields["embedding"], dtype=np.float32))
    for (model, fingerprint), (items, vectors) in groups.items():
        yield _Rows(model, fingerprint, items, np.stack(vectors))


def _item(fields: dict[str, Any]) -> StoredItem:
    labels = fields.get("labels")
    return StoredItem(
        source=fields["source"],
        etag=fields.get("etag"),
        result=fields.get("result"),
        width=fields.get("width"),
        height=fields.get("height"),
        size=fields.get("bytes"),
        format=fields.get("format"),
        updated_at=fields.get("updated_at"),
        labels=None if labels is None else tuple((label["label"], label["score"]) for label in labels),
    )
