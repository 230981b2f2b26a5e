"""What the index stores with a vector: the values that filters can use, and what a hit shows.

S3 Vectors allows 2 KB of filterable metadata for a vector, which does not include the non-filterable keys:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-limitations.html
"""

from datetime import datetime
from typing import Any

from handler.results.item import StoredItem, StoredLabels

# Metadata keys that filters cannot use. An index is created with them, and they cannot be changed afterwards.
NON_FILTERABLE = ("source", "result", "etag", "label_scores")

MAX_FILTERABLE_BYTES = 2048


def metadata_of(item: StoredItem) -> dict[str, Any]:
    """The metadata of a successfully embedded object.

    Labels are left out from the least certain on until the filterable part fits; `label_scores` has one score for each
    label that remains, in the same order. Attributes that the item lacks, and empty lists, are left out.
    """
    bucket, _, key = item.source.removeprefix("s3://").partition("/")
    filterable: dict[str, Any] = {
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
        filterable["labels"] = [name for name, _ in labels]
    others = {"source": item.source, "result": item.result, "etag": item.etag}
    scores = {"label_scores": [score for _, score in labels]} if labels else {}
    return filterable | {name: value for name, value in others.items() if value is not None} | scores


def epoch_seconds(updated_at: str | None) -> int | None:
    """An item's `updated_at` (ISO 8601, UTC) as whole seconds since 1970."""
    return None if updated_at is None else int(datetime.fromisoformat(updated_at).timestamp())


def _fitting(filterable: dict[str, Any], labels: StoredLabels) -> StoredLabels:
    room = MAX_FILTERABLE_BYTES - filterable_bytes(filterable | {"labels": []})
    for number, (name, _) in enumerate(labels):
        room -= _LIST_ENTRY_BYTES + _value_bytes(name)
        if room < 0:
            return labels[:number]
    return labels


# How S3 Vectors counts: a fixed number of bytes for the document, for each key and for each entry of a list. AWS does
# not document it; these were measured against the service:
# https://github.com/FarukAda/aws-langchain-s3-vector-ts/tree/main/docs/evidence
_DOCUMENT_BYTES, _KEY_BYTES, _LIST_ENTRY_BYTES, _NUMBER_BYTES = 4, 8, 4, 4


def filterable_bytes(metadata: dict[str, Any]) -> int:
    """The size of metadata as S3 Vectors counts it."""
    return _DOCUMENT_BYTES + sum(
        _KEY_BYTES + len(name.encode()) + _value_bytes(value) for name, value in metadata.items()
    )


def _value_bytes(value: str | float | list[str]) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list):
        return sum(_LIST_ENTRY_BYTES + _value_bytes(entry) for entry in value)
    return _NUMBER_BYTES
