"""Status of a stack: items by outcome, queue depth, dead letters."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from handler.results.item import text_of
from infra.common.progress import duration, meter, size
from infra.operate.prices import PRICES
from infra.operate.queues import Depth, depth, oldest_seconds
from infra.operate.scan import Scan, TableSize, WireItem, scan, table_size
from infra.operate.stack import DeployedStack

_ATTRIBUTES = ("status", "error_code", "model", "fingerprint")
_READ_BYTES = 4096


@dataclass
class Tally:
    """Counts of the table's items.

    Attributes:
        outcomes: count by `success`, `deleted`, or error code.
        models: count of vectors by (name, fingerprint) of the model.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    models: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, item: WireItem) -> None:
        """Count an item."""
        status = text_of(item, "status") or "unknown"
        self.outcomes[text_of(item, "error_code") or status if status == "error" else status] += 1
        if status == "success":
            self.models[text_of(item, "model") or "", text_of(item, "fingerprint") or ""] += 1


@dataclass(frozen=True)
class StackStatus:
    """Status of a stack.

    Attributes:
        size: DynamoDB's estimate of the table's size.
        tally: exact counts; None if they were not requested.
        queue: depth of the function's queue.
        oldest: age of its oldest message in seconds; None if unknown.
        dead: depth of the dead-letter queue.
    """

    size: TableSize
    tally: Tally | None
    queue: Depth
    oldest: float | None
    dead: Depth

    def fields(self) -> dict[str, Any]:
        """The status as a JSON object."""
        tally = self.tally
        counted = None
        if tally is not None:
            models = [
                {"model": name, "fingerprint": fingerprint, "count": count}
                for (name, fingerprint), count in tally.models.most_common()
            ]
            counted = {"outcomes": dict(tally.outcomes.most_common()), "models": models}
        return {
            "table": {"items_about": self.size.items, "bytes_about": self.size.bytes, "counted": counted},
            "queue": {
                "waiting": self.queue.waiting,
                "in_flight": self.queue.in_flight,
                "oldest_seconds": self.oldest,
            },
            "dead_letters": self.dead.waiting + self.dead.in_flight,
        }

    def lines(self) -> Iterator[str]:
        """The status as lines of text."""
        if self.tally is None:
            yield f"items         about {self.size.items:,}, {size(self.size.bytes)} (updated every six hours)"
        else:
            yield f"items         {self.tally.outcomes.total():,}"
            for name, count in self.tally.outcomes.most_common():
                yield f"  {count:>10,}  {name}"
            yield "vectors by model"
            for (name, fingerprint), count in self.tally.models.most_common():
                yield f"  {count:>10,}  {name}, fingerprint {fingerprint[:8]}"
        age = f" (oldest {duration(self.oldest)})" if self.oldest is not None and self.queue.waiting else ""
        yield f"queue         {self.queue.waiting:,} waiting{age}, {self.queue.in_flight:,} in flight"
        dead = self.dead.waiting + self.dead.in_flight
        yield f"dead letters  {dead:,}" + ("; list them with `failures`, retry them with `redrive`" if dead else "")


def status(stack: DeployedStack, *, quick: bool, as_json: bool) -> None:
    """Print the status.

    Args:
        stack: the stack.
        quick: do not count the table's items, which scans the whole table.
        as_json: print JSON instead of text.
    """
    estimate = table_size(stack)
    found = StackStatus(
        size=estimate,
        tally=None if quick else count_items(stack, estimate),
        queue=depth(stack, stack.queue_url),
        oldest=oldest_seconds(stack, stack.queue_url),
        dead=depth(stack, stack.dead_letter_queue_url),
    )
    print(orjson.dumps(found.fields(), option=orjson.OPT_INDENT_2).decode() if as_json else "\n".join(found.lines()))


def count_items(stack: DeployedStack, estimate: TableSize) -> Tally:
    """Count the items by outcome and model. DynamoDB charges for whole items, whichever attributes are requested."""
    tally, scanned = Tally(), 0
    cost = f"reads {size(estimate.bytes)}, ${scan_dollars(estimate.bytes):,.2f}" if estimate.bytes >= 1e9 else ""
    with meter("counting") as progress:
        for page in scan(stack, Scan(_ATTRIBUTES)):
            for item in page.items:
                tally.add(item)
            scanned += page.scanned
            progress.update(scanned, max(estimate.items, scanned), cost)
        progress.update(scanned, scanned, cost, last=True)
    return tally


def scan_dollars(table_bytes: float) -> float:
    """Cost of an eventually consistent scan of a whole table: half a read unit per 4 KB of each page's total."""
    return table_bytes / _READ_BYTES * 0.5 * PRICES["dynamodb_read_unit"].dollars
