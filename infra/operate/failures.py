"""What could not be embedded, and why: the table's errors, and the dead letters."""

import csv
import sys
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, fields
from itertools import islice

import orjson

from handler.results.item import text_of
from infra.common.progress import meter
from infra.common.text import printable
from infra.operate.account import Account
from infra.operate.dead_letters import peek
from infra.operate.scan import Filter, Scan, scan, table_size

DEAD_LETTER = "dead_letter"

_ATTRIBUTES = ("source", "status", "error_code", "error", "updated_at", "etag", "fingerprint")


@dataclass(frozen=True)
class Failure:
    """One object.

    Attributes:
        source: `s3://bucket/key`.
        error_code: of the item; `dead_letter` for a message that was tried too often.
        error: why, in words.
        updated_at: ISO 8601, UTC; of a dead letter, when it was sent first.
        etag: of the object that was looked at; empty for a dead letter.
        fingerprint: of the model that ran; empty for a dead letter.
    """

    source: str
    error_code: str
    error: str
    updated_at: str
    etag: str = ""
    fingerprint: str = ""


@dataclass(frozen=True)
class Wish:
    """What is to be told.

    Attributes:
        form: `text`, `csv` or `json` (a line each).
        code: only this error code.
        limit: no more than so many.
        dead_letters: so many dead letters are looked at, at most.
    """

    form: str = "text"
    code: str | None = None
    limit: int | None = None
    dead_letters: int = 100


def failures(account: Account, wish: Wish) -> None:
    """Print them as they are found."""
    found = islice(find_failures(account, wish), wish.limit)
    if wish.form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(field.name for field in fields(Failure))
        writer.writerows(astuple(failure) for failure in found)
    elif wish.form == "json":
        for failure in found:
            sys.stdout.buffer.write(orjson.dumps(asdict(failure), option=orjson.OPT_APPEND_NEWLINE))
    else:
        for failure in found:
            print(printable(f"{failure.error_code:18} {failure.source}  {failure.error}"))


def find_failures(account: Account, wish: Wish) -> Iterator[Failure]:
    """Dead letters first, which are few, then the table's."""
    if wish.code in {None, DEAD_LETTER}:
        for letter in peek(account, wish.dead_letters):
            reason = letter.error or "it was tried too often; the function's log tells why"
            yield Failure(letter.source, DEAD_LETTER, reason, letter.sent_at)
    if wish.code != DEAD_LETTER:
        yield from _of_table(account, wish.code)


def _of_table(account: Account, code: str | None) -> Iterator[Failure]:
    only = Filter("#status = :error", {":error": {"S": "error"}})
    if code is not None:
        only = Filter("#status = :error AND #error_code = :code", {":error": {"S": "error"}, ":code": {"S": code}})
    looked_at, about = 0, table_size(account).items
    with meter("looking") as shown:
        for page in scan(account, Scan(_ATTRIBUTES, only)):
            for item in page.items:
                texts = {name: text_of(item, name) or "" for name in _ATTRIBUTES if name != "status"}
                yield Failure(**texts)
            looked_at += page.looked_at
            shown.update(looked_at, max(about, looked_at))
        shown.update(looked_at, looked_at, last=True)
