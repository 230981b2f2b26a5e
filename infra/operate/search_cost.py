"""Cost of the search index: writing, storing and searching vectors in S3 Vectors. Pure, except `dimension_of`."""

import tomllib
from dataclasses import dataclass

from infra.common.errors import OperatorError
from infra.common.paths import MANIFESTS
from infra.operate.prices import MILLION, PRICES

# Bytes beside a vector, measured on 1,485 items with labels: the key, the metadata that filters can use, and the rest.
KEY_BYTES, FILTERABLE_BYTES, OTHER_BYTES = 64, 300, 200

# The quota of an index: https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-limitations.html
VECTORS_A_SECOND = 2500

_FIRST_VECTORS = 100_000
_GB, _TB = 2.0**30, 2.0**40


@dataclass(frozen=True)
class SearchCost:
    """The cost of one index.

    Attributes:
        images: number of vectors.
        write: dollars for writing all of them once, in large batches.
        month: dollars for storing them for a month.
        queries: dollars for a thousand searches.
        rebuild_seconds: how long writing all of them takes at the quota of one index.
    """

    images: int
    write: float
    month: float
    queries: float
    rebuild_seconds: float


def search_cost(dimension: int, images: int) -> SearchCost:
    """The cost of an index of so many images."""
    stored = images * (4 * dimension + KEY_BYTES + FILTERABLE_BYTES + OTHER_BYTES) / _GB
    return SearchCost(
        images=images,
        write=stored * PRICES["s3vectors_put_gb"].dollars,
        month=stored * PRICES["s3vectors_gb_month"].dollars,
        queries=1000 * query_dollars(4 * dimension + KEY_BYTES + FILTERABLE_BYTES, images),
        rebuild_seconds=images / VECTORS_A_SECOND,
    )


def query_dollars(vector_bytes: float, vectors: int) -> float:
    """Dollars of one search: a charge for the request, and one for the size of the whole index.

    Above 10 million vectors AWS charges up to 80 % less for the size since June 2026; this is the price without that.

    Args:
        vector_bytes: average size of a vector with its key and the metadata that filters can use.
        vectors: in the index.
    """
    first = min(vectors, _FIRST_VECTORS)
    size = first * PRICES["s3vectors_query_tb_first"].dollars
    size += (vectors - first) * PRICES["s3vectors_query_tb"].dollars
    return PRICES["s3vectors_query"].dollars + vector_bytes / _TB * size


def dimension_of(model: str) -> int:
    """The dimension of a model's vectors, from its manifest.

    Raises:
        OperatorError: there is no such manifest.
    """
    path = MANIFESTS / f"{model}.toml"
    try:
        return int(tomllib.loads(path.read_text("utf-8"))["embedding_dim"])
    except (OSError, KeyError, ValueError):
        raise OperatorError(f"there is no manifest of the model {model}, which would say its dimension") from None


def single_put_dollars(put_bytes: float = 128 * 1024) -> float:
    """Dollars for writing a million vectors one by one, if AWS charges at least `put_bytes` for each request."""
    return MILLION * put_bytes / _GB * PRICES["s3vectors_put_gb"].dollars
