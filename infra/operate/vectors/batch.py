"""Items with vectors, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handler.results.item import text_of
from infra.operate.scan import WireItem

ATTRIBUTES = ("source", "etag", "model", "fingerprint", "embedding", "embedding_dtype", "embedding_dim", "normalized")

_LITTLE_ENDIAN = {"float32": "<f4", "float16": "<f2"}

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """Vectors of the same dimension, with their objects and models.

    Attributes:
        sources: `s3://bucket/key` of each object.
        etags: ETag of each object.
        models: name of each vector's model.
        fingerprints: fingerprint of each vector's model.
        normalized: whether each vector has length 1.
        vectors: (n, dim) float32, whichever type they are stored as.
    """

    sources: Sequence[str]
    etags: Sequence[str]
    models: Sequence[str]
    fingerprints: Sequence[str]
    normalized: Sequence[bool]
    vectors: Vectors

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return int(self.vectors.shape[1])


def batches(items: Sequence[WireItem]) -> list[Batch]:
    """Group items in DynamoDB's wire form, all with a vector, by the dimension of the vector."""
    by_dim: dict[int, list[WireItem]] = {}
    for item in items:
        by_dim.setdefault(int(item["embedding_dim"]["N"]), []).append(item)
    return [_batch(some) for some in by_dim.values()]


def _batch(items: Sequence[WireItem]) -> Batch:
    def texts(name: str) -> list[str]:
        return [text_of(item, name) or "" for item in items]

    return Batch(
        sources=texts("source"),
        etags=texts("etag"),
        models=texts("model"),
        fingerprints=texts("fingerprint"),
        normalized=[bool(item["normalized"]["BOOL"]) for item in items],
        vectors=np.stack([vector_of(item) for item in items]),
    )


def vector_of(item: WireItem) -> Vectors:
    """The item's vector, (embedding_dim,) float32."""
    dtype = _LITTLE_ENDIAN[item["embedding_dtype"]["S"]]
    return np.frombuffer(item["embedding"]["B"], dtype=dtype).astype(np.float32)
