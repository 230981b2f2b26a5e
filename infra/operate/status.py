"""How a stack is doing: what is in the table, what waits, what has failed."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from handler.results.item import text_of
from infra.common.progress import duration, meter, size
from infra.operate.account import Account
from infra.operate.prices import PRICES
from infra.operate.queues import Depth, depth, oldest_seconds
from infra.operate.scan import Scan, TableSize, WireItem, scan, table_size

_ATTRIBUTES = ("status", "error_code", "model", "fingerprint")
_READ_BYTES = 4096


@dataclass
class Tally:
    """The items of a table.

    Attributes:
        outcomes: `success`, `deleted`, or an error code.
        models: (name, fingerprint) of the vectors.
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
class Status:
    """How it is.

    Attributes:
        size: of the table, as DynamoDB says.
        tally: counted now; None when it was not to be.
        queue: what waits for the function.
        oldest: seconds that the oldest of it has waited; None where nobody says.
        dead: messages that failed too often.
    """

    size: TableSize
    tally: Tally | None
    queue: Depth
    oldest: float | None
    dead: Depth

    def fields(self) -> dict[str, Any]:
        """As JSON."""
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
        """As a person reads it."""
        if self.tally is None:
            yield f"items         about {self.size.items:,}, {size(self.size.bytes)}; counted every six hours"
        else:
            yield f"items         {self.tally.outcomes.total():,}"
            for name, count in self.tally.outcomes.most_common():
                yield f"  {count:>10,}  {name}"
            yield "vectors by model"
            for (name, fingerprint), count in self.tally.models.most_common():
                yield f"  {count:>10,}  {name}, fingerprint {fingerprint[:8]}"
        age = f", the oldest for {duration(self.oldest)}" if self.oldest is not None and self.queue.waiting else ""
        yield f"queue         {self.queue.waiting:,} waiting{age}, {self.queue.in_flight:,} worked on"
        dead = self.dead.waiting + self.dead.in_flight
        yield f"dead letters  {dead:,}" + ("; see `failures`, and send them again with `redrive`" if dead else "")


def status(account: Account, *, quick: bool, as_json: bool) -> None:
    """Print it.

    Args:
        account: where.
        quick: without counting the table's items, which reads all of it.
        as_json: for a program.
    """
    about = table_size(account)
    found = Status(
        size=about,
        tally=None if quick else count_items(account, about),
        queue=depth(account, account.queue_url),
        oldest=oldest_seconds(account, account.queue_url),
        dead=depth(account, account.dead_letter_queue_url),
    )
    print(orjson.dumps(found.fields(), option=orjson.OPT_INDENT_2).decode() if as_json else "\n".join(found.lines()))


def count_items(account: Account, about: TableSize) -> Tally:
    """Count the items by what they say; DynamoDB reads all of each, whatever is asked of it."""
    tally, looked_at = Tally(), 0
    told = f"reads {size(about.bytes)}, ${scan_dollars(about.bytes):,.2f}" if about.bytes >= 1e9 else ""
    with meter("counting") as shown:
        for page in scan(account, Scan(_ATTRIBUTES)):
            for item in page.items:
                tally.add(item)
            looked_at += page.looked_at
            shown.update(looked_at, max(about.items, looked_at), told)
        shown.update(looked_at, looked_at, told, last=True)
    return tally


def scan_dollars(table_bytes: float) -> float:
    """Of reading a whole table, eventually consistent: half a unit for 4 KB, sizes summed over a page."""
    return table_bytes / _READ_BYTES * 0.5 * PRICES["dynamodb_read_unit"].dollars
