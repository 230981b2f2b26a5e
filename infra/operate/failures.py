"""Objects that were not embedded, with the reason: items with an error, and dead letters."""

import csv
import sys
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, fields
from itertools import islice

import orjson

from handler.results.item import text_of
from infra.common.progress import meter
from infra.common.text import printable
from infra.operate.dead_letters import peek
from infra.operate.scan import Filter, Scan, scan, table_size
from infra.operate.stack import DeployedStack

DEAD_LETTER = "dead_letter"

_ATTRIBUTES = ("source", "status", "error_code", "error", "updated_at", "etag", "fingerprint")


@dataclass(frozen=True)
class Failure:
    """An object that was not embedded.

    Attributes:
        source: `s3://bucket/key`.
        error_code: the item's error code; `dead_letter` for a dead letter.
        error: the reason.
        updated_at: ISO 8601, UTC; for a dead letter, when the message was sent.
        etag: the object's ETag when it was rejected; empty for a dead letter.
        fingerprint: the model's fingerprint; empty for a dead letter.
    """

    source: str
    error_code: str
    error: str
    updated_at: str
    etag: str = ""
    fingerprint: str = ""


@dataclass(frozen=True)
class FailureQuery:
    """What to list.

    Attributes:
        output_format: `text`, `csv` or `json` (one object a line).
        code: only this error code; None for all.
        limit: maximum number of failures; None for all.
        dead_letters: maximum number of dead letters to read.
    """

    output_format: str = "text"
    code: str | None = None
    limit: int | None = None
    dead_letters: int = 100


def failures(stack: DeployedStack, query: FailureQuery) -> None:
    """Print failures as they are found."""
    found = islice(find_failures(stack, query), query.limit)
    if query.output_format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(field.name for field in fields(Failure))
        writer.writerows(astuple(failure) for failure in found)
    elif query.output_format == "json":
        for failure in found:
            sys.stdout.buffer.write(orjson.dumps(asdict(failure), option=orjson.OPT_APPEND_NEWLINE))
    else:
        for failure in found:
            print(printable(f"{failure.error_code:18} {failure.source}  {failure.error}"))


def find_failures(stack: DeployedStack, query: FailureQuery) -> Iterator[Failure]:
    """Dead letters, which are few, then items with an error."""
    if query.code in {None, DEAD_LETTER}:
        for letter in peek(stack, query.dead_letters):
            reason = letter.error or "every retry failed; see the function's log for the reason"
            yield Failure(letter.source, DEAD_LETTER, reason, letter.sent_at)
    if query.code != DEAD_LETTER:
        yield from _items_with_errors(stack, query.code)


def _items_with_errors(stack: DeployedStack, code: str | None) -> Iterator[Failure]:
    only = Filter("#status = :error", {":error": {"S": "error"}})
    if code is not None:
        only = Filter("#status = :error AND #error_code = :code", {":error": {"S": "error"}, ":code": {"S": code}})
    scanned, estimate = 0, table_size(stack).items
    with meter("scanning the table") as progress:
        for page in scan(stack, Scan(_ATTRIBUTES, only)):
            for item in page.items:
                texts = {name: text_of(item, name) or "" for name in _ATTRIBUTES if name != "status"}
                yield Failure(**texts)
            scanned += page.scanned
            progress.update(scanned, max(estimate, scanned))
        progress.update(scanned, scanned, last=True)
