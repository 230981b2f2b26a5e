"""Wait until the search index of the local stack has the vectors of items."""

import time
from collections.abc import Iterable, Mapping, Sequence

from handler.index.names import index_name, vector_key
from infra.common.items import Item
from infra.common.local_stack import Stack
from infra.local.server import LocalAws

STALL_SECONDS = 30.0

_POLL_SECONDS = 0.05
_BATCH = 100  # the limit of GetVectors


def await_indexed(aws: LocalAws, stack: Stack, items: Iterable[Item], patience: float = STALL_SECONDS) -> int:
    """Wait until each successfully embedded item has its vector in the index of its fingerprint.

    Args:
        aws: the local AWS.
        stack: a stack with search.
        items: plain items.
        patience: maximum seconds without a newly indexed vector.

    Returns:
        The number of their vectors.

    Raises:
        OperatorError: the local AWS ends, or no further vector is indexed for too long.
    """
    waiting = _keys(items)
    total = sum(map(len, waiting.values()))
    last_progress = time.monotonic()
    while any(waiting.values()):
        aws.check_alive()
        left = {index: _missing(stack, index, keys) for index, keys in waiting.items()}
        now = time.monotonic()
        if left != waiting:
            waiting, last_progress = left, now
        elif now - last_progress > patience:
            count = sum(map(len, waiting.values()))
            raise aws.failure(f"no vector was indexed for {patience:.0f} s; {count} of {total} are missing")
        if any(waiting.values()):
            time.sleep(_POLL_SECONDS)
    return total


def _keys(items: Iterable[Item]) -> Mapping[str, Sequence[str]]:
    """The keys of the vectors that each index must have."""
    keys: dict[str, list[str]] = {}
    for item in items:
        if item["status"] == "success":
            keys.setdefault(index_name(item["fingerprint"]), []).append(vector_key(item["source"]))
    return keys


def _missing(stack: Stack, index: str, keys: Sequence[str]) -> Sequence[str]:
    found: set[str] = set()
    where: Mapping[str, str | None] = {"vectorBucketName": stack.vector_bucket, "indexName": index}
    for start in range(0, len(keys), _BATCH):
        try:
            answer = stack.s3vectors.get_vectors(**where, keys=list(keys[start : start + _BATCH]))
        except stack.s3vectors.exceptions.NotFoundException:  # the indexer creates the index with its first vector
            return keys
        found.update(vector["key"] for vector in answer["vectors"])
    return [key for key in keys if key not in found]
