"""Items -> the vectors of PutVectors, encoded once, in groups as large as its limits allow."""

import array
import struct
import sys
from collections.abc import Iterator, Sequence

import orjson

from handler.aws.sdk.s3vectors import MAX_BODY_BYTES, MAX_PUT_VECTORS
from handler.index.metadata import metadata_of
from handler.index.names import vector_key
from handler.results.item import StoredItem

# Reserved in a body for the names of the bucket and the index.
_RESERVE_BYTES = 4096

# Items and their encoded vectors.
EncodedVectors = Sequence[tuple[StoredItem, bytes]]


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


def grouped(vectors: EncodedVectors) -> Iterator[EncodedVectors]:
    """Groups of encoded vectors that fit into one call each: at most 500, and 20 MiB together."""
    start = size = 0
    for number, (_, encoded) in enumerate(vectors):
        full = number - start == MAX_PUT_VECTORS or size + len(encoded) + 1 > MAX_BODY_BYTES - _RESERVE_BYTES
        if full and number > start:
            yield vectors[start:number]
            start, size = number, 0
        size += len(encoded) + 1
    if vectors:
        yield vectors[start:]
