"""What was found in one object, and its two stored forms: the result JSON in S3 and the item in DynamoDB."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import orjson

from handler.errors import DropvecError, RejectedError, Rejection
from handler.frozen import frozen
from handler.results.item import DELETED, ERROR, SUCCESS
from handler.results.keys import source_of
from handler.settings import EmbeddingDtype

if TYPE_CHECKING:
    from collections.abc import Iterable

    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from handler.model.encoder import Vector
    from handler.model.labels import Label

# A late event must still find the tombstone, and a message can wait 14 days in a queue and 14 in its dead-letter queue.
TOMBSTONE_LIFE = timedelta(days=30)

_LITTLE_ENDIAN = {"float32": "<f4", "float16": "<f2"}


@frozen
class Embedding:
    """A vector.

    Attributes:
        vector: float32 (embedding_dim,).
        normalized: whether it has length 1.
    """

    vector: "Vector"
    normalized: bool

    def normalize(self) -> Self:
        """Scale to L2 length 1.

        Raises:
            RejectedError: `unusable_vector`, the vector is all zeros or not finite, so it has no direction.
        """
        length = float(np.linalg.norm(self.vector))
        if not 0 < length < float("inf"):
            found = "all zeros" if length == 0 else "not finite"
            raise RejectedError(Rejection.UNUSABLE_VECTOR, f"the vector is {found} and cannot be normalised")
        return replace(self, vector=self.vector / np.float32(length), normalized=True)

    def require_storable(self, dtype: EmbeddingDtype) -> None:
        """Check that every value fits into the type that vectors are stored in.

        Raises:
            RejectedError: `unusable_vector`, a value is not finite, or would become infinite in float16.
        """
        largest = float(np.abs(self.vector).max(initial=0))
        if largest <= float(np.finfo(dtype).max):
            return
        reason = (
            "not finite" if not np.isfinite(largest) else f"{largest:g}, beyond {dtype}; set EMBEDDING_DTYPE=float32"
        )
        raise RejectedError(Rejection.UNUSABLE_VECTOR, f"the vector cannot be stored: its largest value is {reason}")


@frozen
class ImageEmbedding(Embedding):
    """The vector of an image, and facts about the image.

    Attributes:
        width: pixels, as shown.
        height: pixels, as shown.
        format: read from the bytes.
        labels: the image's labels, best first; None if the bundle has none.
        norm: the length of the vector before it was normalised; None where it is not known.
    """

    width: int
    height: int
    format: str
    labels: "tuple[Label, ...] | None" = None
    norm: float | None = None


@frozen
class Record:
    """What was found in an object: an embedding, or why the object is rejected."""

    bucket: str
    key: str
    etag: str | None
    version_id: str | None
    size: int | None
    model: str
    fingerprint: str
    outcome: ImageEmbedding | RejectedError
    timings_ms: dict[str, float]
    event_id: str | None = None

    @property
    def source(self) -> str:
        """The table's key: `s3://bucket/key`."""
        return source_of(self.bucket, self.key)

    @property
    def error_code(self) -> str | None:
        """Of a rejection; None with an embedding."""
        return self.outcome.code if isinstance(self.outcome, RejectedError) else None


def file_entry(path: str, outcome: Embedding | DropvecError) -> dict[str, Any]:
    """One entry of a response's `files`; floats in the shortest form that gives the same float32 back.

    Args:
        path: `s3://bucket/key`, the caller's own id of an inline image, or a text.
        outcome: the embedding, or the error.
    """
    if isinstance(outcome, DropvecError):
        return {
            "file_path": path,
            "embedding": None,
            "status": "error",
            "error": str(outcome),
            "error_code": outcome.code,
        }
    embedding = {
        "embedding": outcome.vector,
        "embedding_dim": len(outcome.vector),
        "normalized": outcome.normalized,
    }
    entry: dict[str, Any] = {
        "file_path": path,
        "embedding": embedding,
        "status": "success",
        "error": None,
        "error_code": None,
    }
    if isinstance(outcome, ImageEmbedding) and outcome.labels is not None:
        entry["labels"] = [{"label": label.name, "score": label.score} for label in outcome.labels]
    return entry


def result_json(record: Record) -> bytes:
    """The immutable JSON of the results bucket, UTF-8."""
    result = file_entry(record.source, record.outcome) | {
        "source": record.source,
        "etag": record.etag,
        "version_id": record.version_id,
        "model": record.model,
        "fingerprint": record.fingerprint,
        "width": None,
        "height": None,
        "format": None,
        "bytes": record.size,
        "event_id": record.event_id,
        "timings_ms": record.timings_ms,
    }
    if isinstance(record.outcome, ImageEmbedding):
        result |= {
            "width": record.outcome.width,
            "height": record.outcome.height,
            "format": record.outcome.format,
        }
    return orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY)


def result_name(record: Record) -> str:
    """The last part of the JSON's key: which bytes, and which model."""
    return f"{record.version_id or record.etag or 'unknown'}-{record.fingerprint[:8]}.json"


def result_facts(body: bytes) -> tuple[object, ...] | None:
    """What a result JSON says, as `StoredItem.result_facts` of its item. None if it is no result."""
    try:
        result = orjson.loads(body)
        labels = result.get("labels")
        return (
            result["error_code"],
            (result["embedding"] or {}).get("normalized"),
            None if labels is None else tuple((label["label"], label["score"]) for label in labels),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def item_of(
    record: Record, sequencer: str | None, result: str, dtype: EmbeddingDtype, now: datetime
) -> "dict[str, AttributeValueTypeDef]":
    """The DynamoDB item of a success or a rejection, in wire form.

    Args:
        record: what was found.
        sequencer: normalised, or None.
        result: `s3://` address of the JSON.
        dtype: of the stored vector, little-endian.
        now: aware, UTC.
    """
    texts = {
        "source": record.source,
        "sequencer": sequencer,
        "etag": record.etag,
        "version_id": record.version_id,
        "model": record.model,
        "fingerprint": record.fingerprint,
        "result": result,
        "event_id": record.event_id,
        "updated_at": _iso(now),
    }
    item: dict[str, AttributeValueTypeDef] = {name: {"S": text} for name, text in texts.items() if text is not None}
    if record.size is not None:
        item["bytes"] = {"N": str(record.size)}
    if isinstance(record.outcome, RejectedError):
        return item | {
            "status": {"S": ERROR},
            "error_code": {"S": record.outcome.code},
            "error": {"S": str(record.outcome)},
        }
    found = record.outcome
    if found.labels is not None:
        item["labels"] = labels_attribute(found.labels)
    if found.norm is not None:
        item["norm"] = {"N": f"{found.norm:.9g}"}  # as exact as a float32
    return item | {
        "status": {"S": SUCCESS},
        "embedding": {"B": found.vector.astype(_LITTLE_ENDIAN[dtype]).tobytes()},
        "embedding_dtype": {"S": dtype},
        "embedding_dim": {"N": str(len(found.vector))},
        "normalized": {"BOOL": found.normalized},
        "width": {"N": str(found.width)},
        "height": {"N": str(found.height)},
        "format": {"S": found.format},
    }


def labels_attribute(labels: "Iterable[Label]") -> "AttributeValueTypeDef":
    """Labels in wire form: a list of maps, best first."""
    return {"L": [{"M": {"label": {"S": label.name}, "score": {"N": _decimal(label.score)}}} for label in labels]}


def _decimal(score: float) -> str:
    """A number with six decimals as DynamoDB returns it: no exponent, no trailing zeros, no negative zero."""
    return f"{round(score, 6) + 0.0:.6f}".rstrip("0").rstrip(".")


def tombstone_of(
    source: str, sequencer: str | None, event_id: str | None, now: datetime
) -> "dict[str, AttributeValueTypeDef]":
    """The item of a key without an object, in wire form; DynamoDB removes it after `expires_at` (Unix seconds)."""
    item: dict[str, AttributeValueTypeDef] = {
        "source": {"S": source},
        "status": {"S": DELETED},
        "updated_at": {"S": _iso(now)},
        "expires_at": {"N": str(int((now + TOMBSTONE_LIFE).timestamp()))},
    }
    known = {"sequencer": sequencer, "event_id": event_id}
    return item | {name: {"S": text} for name, text in known.items() if text is not None}


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
