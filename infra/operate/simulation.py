"""The queue, played through event by event, to see whether the figures on paper hold.

Invocations take what waits, up to a batch; each image takes its time by chance, around the mean; Lambda adds
invocations by the minute; the table takes so many write units a second, and whoever comes too early waits for it.
"""

import heapq
from collections import deque
from dataclasses import dataclass, replace
from random import Random

from infra.operate.capacity import PREFIX_PUTS, Plan

_MINUTE = 60.0


@dataclass(frozen=True)
class Drained:
    """How a backlog went.

    Attributes:
        seconds: until the last image was done.
        in_flight: messages that were worked on at a time, at most.
        invocations: how many it took.
    """

    seconds: float
    in_flight: int
    invocations: int


def drain(plan: Plan, images: int, random: Random) -> Drained:
    """Play a backlog that is all there at the beginning."""
    waiting, running, in_flight, most, invocations = images, 0, 0, 0, 0
    now, table_free = 0.0, 0.0
    ends: list[tuple[float, int]] = []  # of invocations, with their images
    minute = 0
    while waiting or ends:
        while waiting and running < plan.concurrency_at(now):
            taken = min(plan.batch, waiting)
            waiting -= taken
            running, in_flight, invocations = running + 1, in_flight + taken, invocations + 1
            computed = now + plan.batch_seconds + random.gammavariate(taken, plan.seconds)
            table_free = max(table_free, now) + taken / min(plan.table_rate_at(now), PREFIX_PUTS)
            heapq.heappush(ends, (max(computed, table_free), taken))
        most = max(most, in_flight)
        next_minute = (minute + 1) * _MINUTE
        if ends and (ends[0][0] <= next_minute or not waiting):
            now, taken = heapq.heappop(ends)
            running, in_flight = running - 1, in_flight - taken
            minute = int(now // _MINUTE)
        else:
            now, minute = next_minute, minute + 1
    return Drained(now, most, invocations)


def mean_wait(plan: Plan, rate: float, uploads: int, random: Random) -> float:
    """Seconds that an upload waits for its turn, when they come by chance and each is a batch of its own."""
    alone = replace(plan, batch=1)
    free = [0.0] * alone.concurrency  # when each invocation can take the next one
    heapq.heapify(free)
    now, waited = 0.0, 0.0
    mean = alone.batch_seconds + alone.seconds
    for _ in range(uploads):
        now += random.expovariate(rate)
        start = max(now, heapq.heappop(free))
        waited += start - now
        heapq.heappush(free, start + random.expovariate(1 / mean))
    return waited / uploads


def wait_behind(plan: Plan, ahead: int, uploads: int, random: Random) -> float:
    """Seconds that an upload waits on average when the queue is kept at a length, and gives out what is oldest."""
    queue: deque[float] = deque([0.0] * ahead)
    ends = [0.0] * plan.concurrency
    heapq.heapify(ends)
    waited, seen = 0.0, 0
    while seen < uploads:
        now = heapq.heappop(ends)
        taken = [queue.popleft() for _ in range(min(plan.batch, len(queue)))]
        queue.extend([now] * len(taken))
        old = [now - since for since in taken if since > 0]
        waited, seen = waited + sum(old), seen + len(old)
        heapq.heappush(ends, now + plan.batch_seconds + random.gammavariate(max(1, len(taken)), plan.seconds))
    return waited / seen
