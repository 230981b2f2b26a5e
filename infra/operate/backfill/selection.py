"""Selection of the objects to embed, by comparing them with their items in the table.

Items are read by key, one slice of objects at a time. A scan of the table would cost a quarter less at best (an item of
3 KB takes 0.38 read units in a scan and 0.5 by key), but it would have to keep millions of keys in memory to compare
them with a listing, and would miss changes by uploads during the run.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from handler.results.item import text_of
from handler.results.keys import source_of
from infra.common.errors import OperatorError
from infra.operate.backfill.objects import ListedObject, Slice
from infra.operate.stack import DeployedStack

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import KeysAndAttributesTypeDef

WireItem = Mapping[str, Any]

_ATTRIBUTES = ("source", "status", "etag", "fingerprint")
_TRIES = 10


class Decision(StrEnum):
    """What the backfill does with an object; the values are shown in summaries."""

    SENT = "sent"
    DONE = "already embedded"
    REJECTED = "already rejected"
    OTHER_MODEL = "embedded by another model"
    IGNORED = "folder markers"
    FILTERED = "excluded by the stack's KeyPrefix or KeySuffix"


@dataclass(frozen=True)
class Selection:
    """Which objects to embed, besides those that have no item or have changed since.

    Attributes:
        fingerprint: fingerprint of the function's model.
        reembed: also objects that another model has embedded or rejected.
        rejected: also objects that this model has rejected.
        everything: all objects, whatever their items say.
        prefix: only keys with this prefix; the function cannot read others.
        suffix: likewise for the suffix.
    """

    fingerprint: str
    reembed: bool = False
    rejected: bool = False
    everything: bool = False
    prefix: str = ""
    suffix: str = ""

    def decide(self, listed: ListedObject, item: WireItem | None) -> Decision:
        """Decide about an object by its item."""
        if not listed.key.startswith(self.prefix) or not listed.key.endswith(self.suffix):
            return Decision.FILTERED
        if listed.is_folder_marker:
            return Decision.IGNORED
        changed = listed.etag is not None and listed.etag != text_of(item, "etag")
        if self.everything or item is None or text_of(item, "status") == "deleted" or changed:
            return Decision.SENT
        if text_of(item, "fingerprint") != self.fingerprint:
            return Decision.SENT if self.reembed else Decision.OTHER_MODEL
        if text_of(item, "status") == "error":
            return Decision.SENT if self.rejected else Decision.REJECTED
        return Decision.DONE


@dataclass(frozen=True)
class DecidedSlice:
    """A slice, with the decision for each of its objects."""

    slice: Slice
    decisions: tuple[Decision, ...]

    def sent(self) -> list[ListedObject]:
        """The objects to embed."""
        pairs = zip(self.slice.objects, self.decisions, strict=True)
        return [listed for listed, decision in pairs if decision is Decision.SENT]


def decide_slice(stack: DeployedStack, bucket: str, selection: Selection, part: Slice) -> DecidedSlice:
    """Read a slice's items and decide about its objects.

    The reads are eventually consistent: an item may be a second old, so an object may be sent needlessly, but no object
    is missed.
    """
    keys = [] if selection.everything else [listed.key for listed in part.objects if not listed.is_folder_marker]
    items = read_items(stack, [source_of(bucket, key) for key in keys]) if keys else {}
    decisions = (selection.decide(listed, items.get(source_of(bucket, listed.key))) for listed in part.objects)
    return DecidedSlice(part, tuple(decisions))


def read_items(stack: DeployedStack, sources: list[str]) -> dict[str, WireItem]:
    """Read the items of up to 100 sources, without the vectors.

    Raises:
        OperatorError: DynamoDB throttles every attempt.
    """
    table = stack.table
    found: dict[str, WireItem] = {}
    request: KeysAndAttributesTypeDef = {
        "Keys": [{"source": {"S": source}} for source in sources],
        "ProjectionExpression": ", ".join(f"#{name}" for name in _ATTRIBUTES),
        "ExpressionAttributeNames": {f"#{name}": name for name in _ATTRIBUTES},
    }
    for attempt in range(_TRIES):
        answer = stack.dynamodb.batch_get_item(RequestItems={table: request})
        found |= {item["source"]["S"]: item for item in answer["Responses"].get(table, [])}
        rest = answer.get("UnprocessedKeys", {}).get(table)
        if not rest:
            return found
        request = {**request, "Keys": rest["Keys"]}
        time.sleep(min(5.0, 0.05 * 2**attempt))
    raise OperatorError(
        f"DynamoDB throttles reads of the table {table}: run the same command later, with a lower --rate"
    )
