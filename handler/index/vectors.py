"""Items -> the vectors of PutVectors, encoded once, in groups as large as its limits allow."""

import array
import math
import struct
import sys
from collections.abc import Iterator, Sequence

import orjson

from handler.aws.sdk.s3vectors import MAX_BODY_BYTES, MAX_DIMENSION, MAX_PUT_VECTORS
from handler.index.metadata import metadata_of
from handler.index.names import vector_key
from handler.results.item import StoredItem

# Reserved in a body for the names of the bucket and the index.
_RESERVE_BYTES = 4096

# Items and their encoded vectors.
EncodedVectors = Sequence[tuple[StoredItem, bytes]]


class UnusableVectorError(Exception):
    """A stored vector that S3 Vectors cannot hold; the text says why."""


def encode_vector(item: StoredItem) -> bytes:
    """One entry of PutVectors' list `vectors`, as JSON.

    Raises:
        UnusableVectorError: the vector is not what its item says, is longer than S3 Vectors allows, or is not finite.
    """
    numbers = floats_of(item)
    if not math.isfinite(sum(numbers)):
        raise UnusableVectorError("it has infinities or not-a-numbers")
    return orjson.dumps({"key": vector_key(item.source), "data": {"float32": numbers}, "metadata": metadata_of(item)})


def floats_of(item: StoredItem) -> list[float]:
    """The numbers of a stored vector, (embedding_dim,); stored little-endian as float32 or float16.

    Raises:
        UnusableVectorError: as for `encode_vector`.
    """
    data, size = item.embedding or b"", 2 if item.embedding_dtype == "float16" else 4
    if item.embedding_dim is None or len(data) != item.embedding_dim * size:
        raise UnusableVectorError(f"it has {len(data)} bytes, which is not {item.embedding_dim} numbers")
    if not 1 <= item.embedding_dim <= MAX_DIMENSION:
        raise UnusableVectorError(f"it has {item.embedding_dim} numbers; S3 Vectors takes at most {MAX_DIMENSION}")
    if size == 2:
        return list(struct.unpack(f"<{item.embedding_dim}e", data))
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
