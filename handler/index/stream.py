"""A DynamoDB stream event -> the changes of items in it, in order.

Source of the shape: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from handler.errors import UnknownEventError
from handler.results.item import StoredItem, read_item


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an item.

    Attributes:
        source: the item's key, `s3://bucket/key`.
        old: the item before; None where there was none.
        new: the item after; None where it was removed.
    """

    source: str
    old: StoredItem | None
    new: StoredItem | None


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
        return Change(change["Keys"]["source"]["S"], _image(change.get("OldImage")), _image(change.get("NewImage")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnknownEventError(f"a record of the stream cannot be read: {error!r}"[:300]) from None


def _image(image: Mapping[str, Any] | None) -> StoredItem | None:
    """An item in the stream's form, where bytes are base64."""
    if not image:
        return None
    wire: dict[str, Any] = {name: _decoded(value) for name, value in image.items()}
    return read_item(wire)


def _decoded(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"B": base64.b64decode(value["B"])} if "B" in value else value
