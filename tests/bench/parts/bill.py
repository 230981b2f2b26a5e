"""Count the requests, bytes, write units and seconds of an image, and compute the cost of a million images."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.operate.prices import PRICES, PRICES_DATE, REGION, Usage, bill, billed_seconds
from tests.bench.figures import Findings, Grid
from tests.bench.naive import app as naive
from tests.bench.setting import Setting, large_picture
from tests.bench.sides import with_dropvec as dropvec
from tests.bench.timed import captured
from tests.bench.world import LATENCY_MS, World, counted, s3_event, sqs_event, upload

MESSAGES = 10
MEMORY_MIB = (1024, 1769, 3008)

# SQS requests of a message: sent by S3; received and deleted by Lambda in batches of ten.
BATCHED = {"lambda_requests": 1 / MESSAGES, "queue_requests": 1 + 2 / MESSAGES}

Counts = Mapping[str, Mapping[str, int]]

_GETS = frozenset({"GetObject", "HeadObject"})
_PUTS = frozenset({"PutObject", "ListObjects"})
_READS = frozenset({"GetItem"})


@dataclass(frozen=True)
class Taken:
    """Resources that some images used, in total.

    Attributes:
        images: number of images.
        wall: elapsed time, seconds.
        cpu: processor time, seconds.
        log_bytes: bytes written to standard output.
        counts: of calls over the wire.
    """

    images: int
    wall: float
    cpu: float
    log_bytes: int
    counts: Counts

    def each(self, operations: frozenset[str], what: str = "calls") -> float:
        """The average of a count for one image, over some operations."""
        return sum(self.counts.get(name, {}).get(what, 0) for name in operations) / self.images


def measure(setting: Setting, world: World) -> Findings:
    """Measure 12 MP JPEGs with latency: naive with one S3 event each, dropvec with batches of SQS messages."""
    data = large_picture(setting).read_bytes()
    rounds = max(1, setting.runs // 5)
    theirs = taken(world, data, rounds, _naive)
    ours = taken(world, data, rounds, with_dropvec)
    uses = {
        "naive": use_of(theirs, lambda_requests=1, queue_requests=0),
        "dropvec": use_of(ours, **BATCHED),
    }
    grids = [_counts_grid({"naive": theirs, "dropvec": ours}), _dollars_grid(uses), _prices_grid()]
    return Findings(grids=grids, raw={"naive": theirs.counts, "dropvec": ours.counts})


def _naive(keys: list[str]) -> None:
    for key in keys:
        naive.handler(s3_event(key), None)


def with_dropvec(keys: list[str]) -> None:
    """Process a batch of messages."""
    dropvec.handler(sqs_event(keys))


def taken(world: World, data: bytes, rounds: int, invoke: Callable[[list[str]], None]) -> Taken:
    """Measure rounds of new images; `invoke` is called once for each round."""
    with captured():
        invoke(upload(world.direct, data, 2))  # warm
    rounds_keys = [upload(world.direct, data, MESSAGES) for _ in range(rounds)]
    counted(world.far, reset=True)
    wall, cpu = time.perf_counter(), time.process_time()
    with captured() as lines:
        for keys in rounds_keys:
            invoke(keys)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    log_bytes = sum(len(line.encode()) for line in lines)
    return Taken(rounds * MESSAGES, wall, cpu, log_bytes, counted(world.far))


def use_of(taken: Taken, lambda_requests: float, queue_requests: float) -> Usage:
    """The resources of one image."""
    units = {
        "lambda_request": lambda_requests,
        "s3_get": taken.each(_GETS),
        "s3_put": taken.each(_PUTS),
        "dynamodb_write_unit": taken.each(frozenset(taken.counts), "write_units"),
        "dynamodb_read_unit": taken.each(_READS),
        "sqs_request": queue_requests,
        "log_gb": taken.log_bytes / taken.images / 1e9,
    }
    cpu = taken.cpu / taken.images
    return Usage(cpu, max(0.0, taken.wall / taken.images - cpu), units)


def _counts_grid(sides: Mapping[str, Taken]) -> Grid:
    rows: list[list[str]] = []
    for side, taken in sides.items():
        for name in sorted(taken.counts):
            one = frozenset({name})
            numbers = [f"{taken.each(one, what):,.2f}" for what in ("calls", "write_units")]
            sizes = [f"{taken.each(one, what):,.0f}" for what in ("sent", "received", "item_bytes")]
            rows.append([side, name, numbers[0], *sizes[:2], sizes[2], numbers[1]])
        rows.append([side, "log", "", f"{taken.log_bytes / taken.images:,.0f}", "", "", ""])
    columns = ["", "", "calls", "bytes sent", "bytes received", "item bytes", "write units"]
    return Grid("one 12 MP image over the wire", columns, rows, "counted by a proxy, heads included")


def _dollars_grid(uses: Mapping[str, Usage]) -> Grid:
    rows = []
    for memory in MEMORY_MIB:
        for side, use in uses.items():
            lines: dict[str, Any] = bill(use, memory)
            table = lines["dynamodb_write_unit"] + lines["dynamodb_read_unit"]
            shown = [lines["lambda_gb_second"], lines["lambda_request"], lines["s3_get"], lines["s3_put"], table]
            shown += [lines["sqs_request"], lines["log_gb"], sum(lines.values())]
            took = f"{1000 * billed_seconds(use, memory):.0f}"
            rows.append([f"{memory} MB", side, took, *(f"{dollars:.2f}" for dollars in shown)])
    columns = ["memory", "", "ms", "Lambda time", "invocations", "S3 GET", "S3 PUT", "DynamoDB", "SQS", "logs", "total"]
    note = (
        f"warm, {LATENCY_MS} ms a call; processor time as memory, up to one vCPU at 1,769 MB; "
        f"prices of {REGION}, {PRICES_DATE}, no free tier"
    )
    return Grid("dollars for a million 12 MP images", columns, rows, note)


def _prices_grid() -> Grid:
    rows = [[name, f"{price.dollars:.10f}".rstrip("0"), price.unit, price.source] for name, price in PRICES.items()]
    return Grid(f"prices, {REGION}, {PRICES_DATE}", ["", "dollars", "a", "source"], rows)
