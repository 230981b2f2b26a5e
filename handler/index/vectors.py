"""Items -> the vectors that PutVectors takes, encoded once, in calls as large as its limits allow."""

import array
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence

import orjson

from handler.aws.sdk.s3vectors import MAX_BODY_BYTES, MAX_PUT_VECTORS
from handler.index.metadata import metadata_of
from handler.index.names import vector_key
from handler.results.item import StoredItem

# Left free in a body for the names of bucket and index.
_RESERVE_BYTES = 4096


def encode_vector(item: StoredItem) -> bytes:
    """One entry of PutVectors' list `vectors`, as JSON."""
    vector = {"key": vector_key(item.source), "data": {"float32": floats_of(item)}, "metadata": metadata_of(item)}
    return orjson.dumps(vector)


def floats_of(item: StoredItem) -> list[float]:
    """The numbers of a stored vector, (embedding_dim,); stored little-endian as float32 or float16."""
    data = item.embedding or b""
    if item.embedding_dtype == "float16":
        return list(struct.unpack(f"<{len(data) // 2}e", data))
    numbers = array.array("f", data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def in_calls(encoded: Iterable[bytes]) -> Iterator[Sequence[bytes]]:
    """Groups of encoded vectors that fit into one call each: at most 500, and 20 MiB together."""
    group: list[bytes] = []
    size = 0
    for vector in encoded:
        if group and (len(group) == MAX_PUT_VECTORS or size + len(vector) + 1 > MAX_BODY_BYTES - _RESERVE_BYTES):
            yield group
            group, size = [], 0
        group.append(vector)
        size += len(vector) + 1
    if group:
        yield group
