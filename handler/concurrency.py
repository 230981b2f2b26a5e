"""Several pieces of work in one invocation: while one waits for S3 or DynamoDB, another one computes."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Two are enough to hide the waiting, which is shorter than the computing; each holds an object in memory.
AT_ONCE = 2


def overlapped(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Do the same to each item, begun in their order, two at a time; the results in their order.

    The work itself sees to it that only one of them computes at a time (`Pipeline.compute_lock`).
    """
    if len(items) < AT_ONCE:
        return [work(item) for item in items]
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - a single item, the usual case, needs none

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, items))
