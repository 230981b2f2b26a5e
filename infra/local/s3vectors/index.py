"""One vector index: its vectors with their metadata, listed in pages and searched exactly."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from infra.common.vector_filter import Metadata
from infra.local.s3vectors.filters import Filter
from infra.local.s3vectors.limits import LIST_VECTORS_BYTES
from infra.local.s3vectors.metadata import metadata_bytes
from infra.local.s3vectors.rows import Rows, Vector


class KeyedVector(NamedTuple):
    """A vector to store, or one that is stored.

    Attributes:
        key: its name in the index.
        vector: [dimension] float32.
        metadata: may be empty.
    """

    key: str
    vector: Vector
    metadata: Metadata


class Hit(NamedTuple):
    """A result of a query."""

    key: str
    distance: np.float32
    metadata: Metadata


class Segment(NamedTuple):
    """One of several parts of an index that are listed in parallel."""

    position: int
    of: int


SINGLE_SEGMENT = Segment(0, 1)


class Page(NamedTuple):
    """Some vectors of a list.

    Attributes:
        records: in the order in which their keys were first stored.
        after: where the next page begins; None where there is no more.
    """

    records: list[KeyedVector]
    after: int | None


@dataclass
class _Entry:
    key: str
    number: int
    row: int
    metadata: Metadata
    size: int


@dataclass
class VectorIndex:
    """The vectors of an index.

    Args:
        dimension: of each vector.
        metric: `cosine` or `euclidean`.
    """

    dimension: int
    metric: str
    _rows: Rows = field(init=False)
    _entries: dict[str, _Entry] = field(default_factory=dict, init=False)  # by key, in the order of their numbers
    _by_row: list[_Entry] = field(default_factory=list, init=False)
    _numbers: Iterator[int] = field(default_factory=count, init=False)

    def __post_init__(self) -> None:
        self._rows = Rows(self.dimension, self.metric)

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, records: Iterable[KeyedVector]) -> None:
        """Store records; a record replaces an existing one with the same key completely."""
        for record in records:
            size = _logical_bytes(record)
            entry = self._entries.get(record.key)
            if entry is None:
                row = self._rows.append(record.vector)
                entry = _Entry(record.key, next(self._numbers), row, record.metadata, size)
                self._entries[record.key] = entry
                self._by_row.append(entry)
            else:
                self._rows.replace(entry.row, record.vector)
                entry.metadata, entry.size = record.metadata, size

    def delete(self, keys: Iterable[str]) -> None:
        """Remove vectors; missing keys are ignored."""
        for key in keys:
            entry = self._entries.pop(key, None)
            if entry is None:
                continue
            self._rows.remove(entry.row)
            last = self._by_row.pop()
            if last is not entry:
                last.row = entry.row
                self._by_row[entry.row] = last

    def get(self, keys: Iterable[str]) -> list[KeyedVector]:
        """The records of the existing keys, each once, in the order of their keys."""
        return [self._record(self._entries[key]) for key in sorted(set(keys) & self._entries.keys())]

    def page(self, size: int, after: int | None = None, segment: Segment = SINGLE_SEGMENT) -> Page:
        """List vectors: at most `size`, and at most 1 MB of them beyond the first.

        Args:
            size: how many.
            after: that of the page before.
            segment: list only this one.
        """
        found: list[_Entry] = []
        budget = LIST_VECTORS_BYTES
        for entry in self._entries.values():
            if (after is not None and entry.number <= after) or not _is_in(segment, entry.key):
                continue
            if len(found) == size or (found and entry.size > budget):
                return Page([self._record(entry) for entry in found], found[-1].number)
            found.append(entry)
            budget -= entry.size
        return Page([self._record(entry) for entry in found], None)

    def query(self, vector: Vector, top: int, narrowed: Filter | None = None) -> list[Hit]:
        """The nearest vectors, nearest first; the key decides between equal distances.

        Args:
            vector: [dimension] float32.
            top: how many.
            narrowed: consider only vectors whose metadata it matches.
        """
        distances = self._rows.distances(vector)
        rows = np.arange(len(distances)) if narrowed is None else self._matching(narrowed)
        nearest = _nearest(distances[rows], top)
        hits = [
            Hit(self._by_row[row].key, distances[row], self._by_row[row].metadata) for row in rows[nearest].tolist()
        ]
        return sorted(hits, key=lambda hit: (hit.distance, hit.key))[:top]

    def _matching(self, narrowed: Filter) -> NDArray[np.intp]:
        matching = [row for row, entry in enumerate(self._by_row) if narrowed.matches(entry.metadata)]
        return np.array(matching, dtype=np.intp)

    def _record(self, entry: _Entry) -> KeyedVector:
        return KeyedVector(entry.key, self._rows.vector(entry.row), entry.metadata)


def _nearest(distances: NDArray[np.float32], top: int) -> NDArray[np.intp]:
    """Positions of the `top` smallest distances and of those equal to the largest of them, in any order."""
    if len(distances) <= top:
        return np.arange(len(distances))
    bound = np.partition(distances, top - 1)[top - 1]
    return np.flatnonzero(distances <= bound)


def _is_in(segment: Segment, key: str) -> bool:
    return segment.of == 1 or zlib.crc32(key.encode()) % segment.of == segment.position


def _logical_bytes(record: KeyedVector) -> int:
    """The logical size as AWS defines it: the vector, the key and the metadata."""
    return record.vector.nbytes + len(record.key.encode()) + metadata_bytes(record.metadata)
