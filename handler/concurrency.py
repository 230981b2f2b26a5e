"""Concurrent work in one invocation: while one item waits for S3 or DynamoDB, another one computes."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Two threads suffice, since an item waits for less time than it computes; each holds one object in memory.
MAX_CONCURRENT = 2


def map_concurrently(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Apply a function to each item, two at a time, started in order; the results have the order of the items.

    The function has to make sure that only one thread computes at a time (`Pipeline.compute_lock`).
    """
    if len(items) < MAX_CONCURRENT:
        return [function(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - not needed for one item, the usual case

    with ThreadPoolExecutor(MAX_CONCURRENT) as pool:
        return list(pool.map(function, items))
