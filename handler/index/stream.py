"""A DynamoDB stream event -> the changes of items in it, in order.

Source of the shape: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

import base64
from collections.abc import Mapping
from typing import Any

from handler.errors import UnknownEventError
from handler.frozen import frozen
from handler.results.item import StoredItem, read_item, text_of


@frozen
class Change:
    """One change of an item.

    Attributes:
        source: the item's key, `s3://bucket/key`.
        old: the item before; None where there was none.
        new: the item after; None where it was removed.
        touched: whether its attribute `touched_at` was set: an operator wants the indexes to follow the item again.
    """

    source: str
    old: StoredItem | None
    new: StoredItem | None
    touched: bool = False


def read_stream(event: object) -> list[Change]:
    """The changes of an event of the table's stream, oldest first for each key.

    Raises:
        UnknownEventError: it is no event of a DynamoDB stream with old and new images.
    """
    records = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, list):
        raise UnknownEventError("unsupported event; expected the records of a DynamoDB stream")
    return [_change(record) for record in records]


def _change(record: object) -> Change:
    try:
        if not isinstance(record, Mapping) or record["eventSource"] != "aws:dynamodb":
            raise TypeError("its eventSource is not aws:dynamodb")  # noqa: TRY301 - reported like the other defects
        change = record["dynamodb"]
        if change.get("StreamViewType") != "NEW_AND_OLD_IMAGES":
            raise ValueError("its StreamViewType is not NEW_AND_OLD_IMAGES")  # noqa: TRY301 - likewise
        old, new = change.get("OldImage") or {}, change.get("NewImage") or {}
        touched = text_of(new, "touched_at") not in {None, text_of(old, "touched_at")}
        return Change(change["Keys"]["source"]["S"], _item(old), _item(new), touched=touched)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnknownEventError(f"a record of the stream cannot be read: {error!r}"[:300]) from None


def _item(image: Mapping[str, Any]) -> StoredItem | None:
    """An item in the stream's form, where bytes are base64; None for an empty image."""
    if not image:
        return None
    wire: dict[str, Any] = {name: _decoded(value) for name, value in image.items()}
    return read_item(wire)


def _decoded(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"B": base64.b64decode(value["B"], validate=True)} if "B" in value else value
