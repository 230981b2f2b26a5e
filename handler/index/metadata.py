"""What the index stores beside a vector: what filters can use, and what a hit shows.

S3 Vectors takes at most 2 KB of filterable metadata a vector (its `source` and the other non-filterable keys do not
count): https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-limitations.html
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from handler.results.item import StoredItem, StoredLabel

# Metadata keys that filters cannot use. An index is created with them, and they cannot be changed afterwards.
NON_FILTERABLE = ("source", "result", "etag", "label_scores")

MAX_FILTERABLE_BYTES = 2048


def metadata_of(item: StoredItem) -> dict[str, Any]:
    """The metadata of a successfully embedded object.

    Labels are left out from the least certain on until the filterable part fits; `label_scores` has one score for each
    label that remains, in the same order. Attributes that the item lacks, and empty lists, are left out.
    """
    bucket, _, key = item.source.removeprefix("s3://").partition("/")
    filterable = {
        "bucket": bucket,
        "key": key,
        "format": item.format,
        "width": item.width,
        "height": item.height,
        "bytes": item.size,
        "updated_at": epoch_seconds(item.updated_at),
    }
    filterable = {name: value for name, value in filterable.items() if value is not None}
    labels = _fitting(filterable, item.labels or ())
    if labels:
        filterable["labels"] = [label.name for label in labels]
    others = {"source": item.source, "result": item.result, "etag": item.etag}
    scores = {"label_scores": [label.score for label in labels]} if labels else {}
    return filterable | {name: value for name, value in others.items() if value is not None} | scores


def epoch_seconds(updated_at: str | None) -> int | None:
    """An item's `updated_at` (ISO 8601, UTC) as whole seconds since 1970."""
    return None if updated_at is None else int(datetime.fromisoformat(updated_at).timestamp())


def _fitting(filterable: dict[str, Any], labels: Sequence[StoredLabel]) -> Sequence[StoredLabel]:
    room = MAX_FILTERABLE_BYTES - len(orjson.dumps(filterable | {"labels": []}))
    for number, label in enumerate(labels):
        room -= len(orjson.dumps(label.name)) + 1  # and a comma
        if room < 0:
            return labels[:number]
    return labels
