"""How fast it can go, on paper: what each service lets through, and how long a backlog takes. Pure.

Sources, read in November 2026:

- https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html: five batches at a time at first, 300 more a
  minute; `MaximumConcurrency` goes to 1,000.
- https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html and
  warm-throughput-scenarios.html: a new on-demand table takes 4,000 write units a second, then twice its peak within
  30 minutes; a partition takes 1,000 write and 3,000 read units. ServiceQuotas.html: 40,000 a table, unless raised.
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html: 3,500 PUT and 5,500 GET a second
  for a prefix; S3 splits prefixes by itself under steady load.
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
class Plan:
    """How the function is run.

    Attributes:
        concurrency: invocations at a time, at most.
        batch: images of an invocation, at most.
        seconds: of one image.
        batch_seconds: of an invocation, whatever is in it.
        write_units: of an item.
        new_table: whether the table has yet to grow.
    """

    concurrency: int
    batch: int
    seconds: float
    batch_seconds: float
    write_units: float
    new_table: bool = True

    def compute_rate(self, concurrency: float) -> float:
        """Images a second of that many invocations at a time, each with a full batch."""
        return concurrency * self.batch / (self.batch_seconds + self.batch * self.seconds)

    def concurrency_at(self, seconds: float) -> int:
        """How many invocations Lambda runs so long after a backlog has come."""
        grown = FIRST_CONCURRENCY + MORE_A_MINUTE * int(seconds // _STEP_SECONDS)
        return min(self.concurrency, grown)

    def table_rate_at(self, seconds: float) -> float:
        """Images a second that the table takes so long after a backlog has come."""
        if not self.new_table:
            return TABLE_WRITES / self.write_units
        grown = NEW_TABLE_WRITES * math.pow(2, seconds // DOUBLING_SECONDS)
        return min(float(TABLE_WRITES), grown) / self.write_units

    def rate_at(self, seconds: float) -> float:
        """Images a second, so long after a backlog has come."""
        return min(self.compute_rate(self.concurrency_at(seconds)), self.table_rate_at(seconds), float(PREFIX_PUTS))

    @property
    def in_flight(self) -> int:
        """Messages that are worked on at a time, at most."""
        return self.concurrency * self.batch


@dataclass(frozen=True)
class Ceiling:
    """What one part lets through.

    Attributes:
        part: which.
        rate: images a second.
        remedy: what raises it.
    """

    part: str
    rate: float
    remedy: str


def ceilings(plan: Plan) -> list[Ceiling]:
    """What each part lets through, lowest first."""
    one_message = plan.compute_rate(1) / plan.batch
    found = [
        Ceiling(f"Lambda, {plan.concurrency} at once", plan.compute_rate(plan.concurrency), "MaximumConcurrency"),
        Ceiling("DynamoDB, a new table", NEW_TABLE_WRITES / plan.write_units, "doubles by itself, in 30 minutes"),
        Ceiling("DynamoDB, a grown table", TABLE_WRITES / plan.write_units, "the quota of the table"),
        Ceiling("DynamoDB, one partition", PARTITION_WRITES / plan.write_units, "keys spread by themselves"),
        Ceiling("S3, JSON of one prefix", PREFIX_PUTS, "splits by itself; RESULTS_PREFIX"),
        Ceiling("S3, images of one prefix", PREFIX_GETS, "splits by itself; keys that begin differently"),
        Ceiling("SQS, messages in flight", IN_FLIGHT * one_message, "never met: ten images of each invocation"),
    ]
    return sorted(found, key=lambda ceiling: ceiling.rate)


def drain_seconds(plan: Plan, images: int) -> float:
    """How long a backlog takes: the images of each minute are summed until all are done."""
    left = float(images)
    for start, rate in _minutes(plan):
        if left <= rate * _STEP_SECONDS or _is_grown(plan, start):
            return start + left / rate
        left -= rate * _STEP_SECONDS
    raise AssertionError("unreachable")


def _minutes(plan: Plan) -> Iterator[tuple[float, float]]:
    start = 0.0
    while True:
        yield start, plan.rate_at(start)
        start += _STEP_SECONDS


def _is_grown(plan: Plan, seconds: float) -> bool:
    grown = plan.concurrency_at(seconds) == plan.concurrency
    return grown and (not plan.new_table or plan.table_rate_at(seconds) * plan.write_units >= TABLE_WRITES)


def waiting_seconds(plan: Plan, rate: float) -> float:
    """How long an upload waits for its turn on average when uploads come by chance at that rate, one a batch.

    Erlang's C formula, for service times that vary as chance has it; infinite where more come than can be done.
    """
    servers, load = plan.concurrency, rate * (plan.seconds + plan.batch_seconds)
    if load >= servers:
        return math.inf
    blocked = 1.0  # Erlang's B, by its recursion: https://en.wikipedia.org/wiki/Erlang_(unit)
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    waits = blocked / (1 - load / servers * (1 - blocked))
    return waits * (plan.seconds + plan.batch_seconds) / (servers - load)
