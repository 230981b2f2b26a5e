"""What can differ between the object, the item and the vectors of one key. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from handler.index.metadata import metadata_of
from handler.index.names import index_name
from handler.index.vectors import floats_of
from handler.results.item import StoredItem
from infra.operate.search.indexes import WireVector

# An index may store a vector in another precision than it returns it in.
_LEAST_COSINE = 0.9999
# Metadata that changes with every write of an item.
_COMPARED = ("source", "etag", "updated_at", "labels", "result")


class Kind(StrEnum):
    """How a key differs."""

    MISSING_VECTOR = "missing_vector"
    WRONG_VECTOR = "wrong_vector"
    STALE_VECTOR = "stale_vector"
    LEFTOVER_VECTOR = "leftover_vector"
    VECTOR_WITHOUT_ITEM = "vector_without_item"
    OBJECT_WITHOUT_ITEM = "object_without_item"
    ITEM_OF_OTHER_OBJECT = "item_of_other_object"
    ITEM_WITHOUT_OBJECT = "item_without_object"


# These are repaired by touching the item, the others by sending the object to the function.
OF_INDEX = frozenset(
    {
        Kind.MISSING_VECTOR,
        Kind.WRONG_VECTOR,
        Kind.STALE_VECTOR,
        Kind.LEFTOVER_VECTOR,
        Kind.VECTOR_WITHOUT_ITEM,
    }
)

DESCRIPTIONS = {
    Kind.MISSING_VECTOR: "the index of its model has no vector of it",
    Kind.WRONG_VECTOR: "its vector is not the one of the item",
    Kind.STALE_VECTOR: "the index of another model has the vector of an earlier picture",
    Kind.LEFTOVER_VECTOR: "the item has no vector, and an index has one",
    Kind.VECTOR_WITHOUT_ITEM: "an index has a vector, and the table has no item",
    Kind.OBJECT_WITHOUT_ITEM: "the bucket has an object that was not processed",
    Kind.ITEM_OF_OTHER_OBJECT: "the item is of an earlier version of the object",
    Kind.ITEM_WITHOUT_OBJECT: "the item is of an object that is gone",
}


@dataclass(frozen=True)
class Difference:
    """A difference that was found twice.

    Attributes:
        kind: what differs.
        source: `s3://bucket/key`.
        index: name of the index; empty where none is concerned.
    """

    kind: Kind
    source: str
    index: str = ""


def compare_vector(source: str, item: StoredItem | None, index: str, vector: WireVector) -> Iterator[Difference]:
    """How a vector differs from the item of its object."""
    if item is None:
        yield Difference(Kind.VECTOR_WITHOUT_ITEM, source, index)
    elif not item.is_success:
        yield Difference(Kind.LEFTOVER_VECTOR, source, index)
    elif index != index_name(item.fingerprint or ""):
        if vector["metadata"].get("etag") != item.etag:
            yield Difference(Kind.STALE_VECTOR, source, index)
    elif not _is_vector_of(item, vector):
        yield Difference(Kind.WRONG_VECTOR, source, index)


def compare_vectors(source: str, item: StoredItem | None, vectors: Mapping[str, WireVector]) -> Iterator[Difference]:
    """How the vectors of an object, by index, differ from its item."""
    for index, vector in vectors.items():
        yield from compare_vector(source, item, index, vector)
    if item is not None and item.is_success and has_direction(item):
        own = index_name(item.fingerprint or "")
        if own not in vectors:
            yield Difference(Kind.MISSING_VECTOR, source, own)


def compare_object(source: str, item: StoredItem | None, etag: str | None) -> Iterator[Difference]:
    """How an object differs from its item.

    Args:
        source: `s3://bucket/key`.
        item: None where there is none.
        etag: of the object; None where there is none.
    """
    if etag is None:
        if item is not None and not item.is_tombstone:
            yield Difference(Kind.ITEM_WITHOUT_OBJECT, source)
    elif item is None or item.is_tombstone:
        yield Difference(Kind.OBJECT_WITHOUT_ITEM, source)
    elif item.etag is not None and item.etag != etag:
        yield Difference(Kind.ITEM_OF_OTHER_OBJECT, source)


def has_direction(item: StoredItem) -> bool:
    """Whether S3 Vectors takes the item's vector: it refuses vectors of zeros."""
    return any(item.embedding or b"")


def _is_vector_of(item: StoredItem, vector: WireVector) -> bool:
    expected, found = metadata_of(item), vector["metadata"]
    if any(expected.get(name) != found.get(name) for name in _COMPARED):
        return False
    return _cosine(floats_of(item), vector["data"]["float32"]) >= _LEAST_COSINE


def _cosine(first: Sequence[float], second: Sequence[float]) -> float:
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape:
        return 0.0
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths else 0.0
