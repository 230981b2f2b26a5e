"""Calculated throughput: the limit of each service, and how long a backlog takes. Pure.

Sources, read in November 2026:

- https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html: five concurrent batches at first, 300 more a
  minute; `MaximumConcurrency` is at most 1,000.
- https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html and
  warm-throughput-scenarios.html: a new on-demand table accepts 4,000 write units a second, and can double its peak
  within 30 minutes; a partition accepts 1,000 write and 3,000 read units. ServiceQuotas.html: the default quota of a
  table is 40,000.
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html: 3,500 PUT and 5,500 GET a second
  for a prefix; S3 splits prefixes automatically under steady load.
- https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html: 120,000 messages in
  flight.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

FIRST_CONCURRENCY = 5
MORE_A_MINUTE = 300
MOST_CONCURRENCY = 1000

NEW_TABLE_WRITES, TABLE_WRITES, PARTITION_WRITES, PARTITION_READS = 4000, 40_000, 1000, 3000
DOUBLING_SECONDS = 1800.0

PREFIX_PUTS, PREFIX_GETS = 3500, 5500
IN_FLIGHT = 120_000

_STEP_SECONDS = 60.0


@dataclass(frozen=True)
class CapacityModel:
    """How the function runs.

    Attributes:
        concurrency: maximum number of concurrent invocations.
        batch: maximum number of images per invocation.
        seconds: time for one image.
        batch_seconds: overhead of an invocation, whatever its number of images.
        write_units: DynamoDB write units per item.
        new_table: whether the table still has the throughput of a new one.
    """

    concurrency: int
    batch: int
    seconds: float
    batch_seconds: float
    write_units: float
    new_table: bool = True

    def compute_rate(self, concurrency: float) -> float:
        """Images a second with this many concurrent invocations, each with a full batch."""
        return concurrency * self.batch / (self.batch_seconds + self.batch * self.seconds)

    def concurrency_at(self, seconds: float) -> int:
        """Concurrent invocations this many seconds after the backlog arrived."""
        grown = FIRST_CONCURRENCY + MORE_A_MINUTE * int(seconds // _STEP_SECONDS)
        return min(self.concurrency, grown)

    def table_rate_at(self, seconds: float) -> float:
        """Images a second that the table accepts this many seconds after the backlog arrived."""
        if not self.new_table:
            return TABLE_WRITES / self.write_units
        grown = NEW_TABLE_WRITES * math.pow(2, seconds // DOUBLING_SECONDS)
        return min(float(TABLE_WRITES), grown) / self.write_units

    def rate_at(self, seconds: float) -> float:
        """Images a second, this many seconds after the backlog arrived."""
        return min(self.compute_rate(self.concurrency_at(seconds)), self.table_rate_at(seconds), float(PREFIX_PUTS))

    @property
    def in_flight(self) -> int:
        """Maximum number of messages in flight."""
        return self.concurrency * self.batch


@dataclass(frozen=True)
class RateLimit:
    """The throughput limit of one service.

    Attributes:
        service: which limit of which service.
        rate: images a second.
        remedy: how to raise it.
    """

    service: str
    rate: float
    remedy: str


def rate_limits(capacity: CapacityModel) -> list[RateLimit]:
    """The throughput limit of each service, lowest first."""
    one_message = capacity.compute_rate(1) / capacity.batch
    limits = [
        RateLimit(
            f"Lambda, {capacity.concurrency} concurrent invocations",
            capacity.compute_rate(capacity.concurrency),
            "MaximumConcurrency",
        ),
        RateLimit("DynamoDB, new table", NEW_TABLE_WRITES / capacity.write_units, "doubles every 30 minutes"),
        RateLimit("DynamoDB, grown table", TABLE_WRITES / capacity.write_units, "the table's quota"),
        RateLimit("DynamoDB, one partition", PARTITION_WRITES / capacity.write_units, "keys are hashed to partitions"),
        RateLimit("S3, result JSON under one prefix", PREFIX_PUTS, "S3 splits prefixes; RESULTS_PREFIX"),
        RateLimit("S3, images under one prefix", PREFIX_GETS, "S3 splits prefixes; vary the start of keys"),
        RateLimit("SQS, messages in flight", IN_FLIGHT * one_message, "not reached: an invocation has ten at most"),
    ]
    return sorted(limits, key=lambda limit: limit.rate)


def drain_seconds(capacity: CapacityModel, images: int) -> float:
    """How long a backlog takes: the sum over minutes until all images are done."""
    left = float(images)
    for start, rate in _minutes(capacity):
        if left <= rate * _STEP_SECONDS or _is_grown(capacity, start):
            return start + left / rate
        left -= rate * _STEP_SECONDS
    raise AssertionError("unreachable")


def _minutes(capacity: CapacityModel) -> Iterator[tuple[float, float]]:
    start = 0.0
    while True:
        yield start, capacity.rate_at(start)
        start += _STEP_SECONDS


def _is_grown(capacity: CapacityModel, seconds: float) -> bool:
    if capacity.concurrency_at(seconds) < capacity.concurrency:
        return False
    return not capacity.new_table or capacity.table_rate_at(seconds) * capacity.write_units >= TABLE_WRITES


def waiting_seconds(capacity: CapacityModel, rate: float) -> float:
    """Average waiting time of an upload, for Poisson arrivals at this rate and one image per batch.

    Erlang's C formula, which assumes exponential service times; infinite if the rate exceeds the throughput.
    """
    servers, load = capacity.concurrency, rate * (capacity.seconds + capacity.batch_seconds)
    if load >= servers:
        return math.inf
    blocked = 1.0  # Erlang's B, by its recursion: https://en.wikipedia.org/wiki/Erlang_(unit)
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    waits = blocked / (1 - load / servers * (1 - blocked))
    return waits * (capacity.seconds + capacity.batch_seconds) / (servers - load)
