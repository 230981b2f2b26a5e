"""Which objects are still to be embedded: what the table says of them already, against what is wanted.

The table is asked for the keys of each slice, never scanned. A scan of it all reads a third less at best (an item of
3 KB is 0.38 of a read unit in a scan, and 0.5 by its key), but millions of keys would have to be held to compare them
with a listing, and what uploads change meanwhile would be missed.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from handler.results.item import text_of
from handler.results.keys import source_of
from infra.common.errors import OperatorError
from infra.operate.account import Account
from infra.operate.backfill.objects import Found, Slice

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import KeysAndAttributesTypeDef

WireItem = Mapping[str, Any]

_ATTRIBUTES = ("source", "status", "etag", "fingerprint")
_TRIES = 10


class Verdict(StrEnum):
    """What becomes of an object."""

    SENT = "sent"
    DONE = "done already"
    REJECTED = "rejected already"
    OTHER_MODEL = "of another model"
    IGNORED = "folder markers"
    FILTERED = "left out by the stack's KeyPrefix and KeySuffix"


@dataclass(frozen=True)
class Wanted:
    """What is to be embedded, beyond objects that have no result or have changed since.

    Attributes:
        fingerprint: of the function's model.
        reembed: also what another model has embedded or rejected.
        rejected: also what this model has rejected.
        everything: whatever the table says.
        prefix: what keys must begin with; the function may not read others.
        suffix: likewise, what they must end with.
    """

    fingerprint: str
    reembed: bool = False
    rejected: bool = False
    everything: bool = False
    prefix: str = ""
    suffix: str = ""

    def verdict(self, found: Found, item: WireItem | None) -> Verdict:
        """Judge an object by its item."""
        if not found.key.startswith(self.prefix) or not found.key.endswith(self.suffix):
            return Verdict.FILTERED
        if found.is_folder_marker:
            return Verdict.IGNORED
        changed = found.etag is not None and found.etag != text_of(item, "etag")
        if self.everything or item is None or text_of(item, "status") == "deleted" or changed:
            return Verdict.SENT
        if text_of(item, "fingerprint") != self.fingerprint:
            return Verdict.SENT if self.reembed else Verdict.OTHER_MODEL
        if text_of(item, "status") == "error":
            return Verdict.SENT if self.rejected else Verdict.REJECTED
        return Verdict.DONE


@dataclass(frozen=True)
class Judged:
    """A slice, and what becomes of each of its objects."""

    slice: Slice
    verdicts: tuple[Verdict, ...]

    def sent(self) -> list[Found]:
        """The objects that are to be embedded."""
        return [found for found, verdict in self.pairs() if verdict is Verdict.SENT]

    def pairs(self) -> Iterable[tuple[Found, Verdict]]:
        """Objects with their verdicts."""
        return zip(self.slice.objects, self.verdicts, strict=True)


def judge(account: Account, bucket: str, wanted: Wanted, part: Slice) -> Judged:
    """Ask the table about a slice. The answer may be a second old: one object too many may be sent, never too few."""
    asked = [] if wanted.everything else [found.key for found in part.objects if not found.is_folder_marker]
    items = read_items(account, [source_of(bucket, key) for key in asked]) if asked else {}
    verdicts = (wanted.verdict(found, items.get(source_of(bucket, found.key))) for found in part.objects)
    return Judged(part, tuple(verdicts))


def read_items(account: Account, sources: list[str]) -> dict[str, WireItem]:
    """What the table says of up to 100 sources, without the vectors.

    Raises:
        OperatorError: the table is too busy to answer.
    """
    table = account.table
    found: dict[str, WireItem] = {}
    wanted: KeysAndAttributesTypeDef = {
        "Keys": [{"source": {"S": source}} for source in sources],
        "ProjectionExpression": ", ".join(f"#{name}" for name in _ATTRIBUTES),
        "ExpressionAttributeNames": {f"#{name}": name for name in _ATTRIBUTES},
    }
    for attempt in range(_TRIES):
        answer = account.dynamodb.batch_get_item(RequestItems={table: wanted})
        found |= {item["source"]["S"]: item for item in answer["Responses"].get(table, [])}
        rest = answer.get("UnprocessedKeys", {}).get(table)
        if not rest:
            return found
        wanted = {**wanted, "Keys": rest["Keys"]}
        time.sleep(min(5.0, 0.05 * 2**attempt))
    raise OperatorError(f"the table {table} is too busy to be read: try again later, with a lower --rate")
