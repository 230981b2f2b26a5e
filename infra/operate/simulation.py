"""Event-by-event simulation of the queue, to check the calculated figures.

Each invocation takes a batch of waiting messages; the time of an image is random around the mean; Lambda adds
invocations every minute; the table accepts a limited number of write units a second, and writes beyond it wait.
"""

import heapq
from collections import deque
from dataclasses import dataclass, replace
from random import Random

from infra.operate.capacity import PREFIX_PUTS, CapacityModel

_MINUTE = 60.0


@dataclass(frozen=True)
class DrainResult:
    """The simulated processing of a backlog.

    Attributes:
        seconds: until the last image was done.
        in_flight: maximum number of messages in flight.
        invocations: number of invocations.
    """

    seconds: float
    in_flight: int
    invocations: int


def drain(capacity: CapacityModel, images: int, random: Random) -> DrainResult:
    """Simulate a backlog of images that are all in the queue at the start."""
    waiting, running, in_flight, most, invocations = images, 0, 0, 0, 0
    now, table_free = 0.0, 0.0
    ends: list[tuple[float, int]] = []  # for each running invocation: its end, its number of images
    minute = 0
    while waiting or ends:
        while waiting and running < capacity.concurrency_at(now):
            taken = min(capacity.batch, waiting)
            waiting -= taken
            running, in_flight, invocations = running + 1, in_flight + taken, invocations + 1
            computed = now + capacity.batch_seconds + random.gammavariate(taken, capacity.seconds)
            table_free = max(table_free, now) + taken / min(capacity.table_rate_at(now), PREFIX_PUTS)
            heapq.heappush(ends, (max(computed, table_free), taken))
        most = max(most, in_flight)
        next_minute = (minute + 1) * _MINUTE
        if ends and (ends[0][0] <= next_minute or not waiting):
            now, taken = heapq.heappop(ends)
            running, in_flight = running - 1, in_flight - taken
            minute = int(now // _MINUTE)
        else:
            now, minute = next_minute, minute + 1
    return DrainResult(now, most, invocations)


def mean_wait(capacity: CapacityModel, rate: float, uploads: int, random: Random) -> float:
    """Average seconds that an upload waits, for Poisson arrivals and one image per batch."""
    single = replace(capacity, batch=1)
    free = [0.0] * single.concurrency  # when each invocation is free for the next upload
    heapq.heapify(free)
    now, waited = 0.0, 0.0
    mean = single.batch_seconds + single.seconds
    for _ in range(uploads):
        now += random.expovariate(rate)
        start = max(now, heapq.heappop(free))
        waited += start - now
        heapq.heappush(free, start + random.expovariate(1 / mean))
    return waited / uploads


def wait_behind(capacity: CapacityModel, ahead: int, uploads: int, random: Random) -> float:
    """Average seconds that an upload waits in a first-in-first-out queue that is kept at a constant length."""
    queue: deque[float] = deque([0.0] * ahead)
    ends = [0.0] * capacity.concurrency
    heapq.heapify(ends)
    waited, seen = 0.0, 0
    while seen < uploads:
        now = heapq.heappop(ends)
        taken = [queue.popleft() for _ in range(min(capacity.batch, len(queue)))]
        queue.extend([now] * len(taken))
        old = [now - since for since in taken if since > 0]
        waited, seen = waited + sum(old), seen + len(old)
        heapq.heappush(ends, now + capacity.batch_seconds + random.gammavariate(max(1, len(taken)), capacity.seconds))
    return waited / seen
