"""The DynamoDB item of one key, typed. The only place that reads an item's wire form.

Needs neither numpy nor any other package, so that a function without a model can read items, too.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from handler.frozen import frozen

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

    WireItem = Mapping[str, AttributeValueTypeDef]
else:
    WireItem = Mapping[str, Any]

SUCCESS, ERROR, DELETED = "success", "error", "deleted"

# Names and scores (a cosine, -1 to 1) of a picture's labels, best first.
StoredLabels = tuple[tuple[str, float], ...]


@frozen
class StoredItem:
    """An item as it was read; an attribute that it does not have is None.

    Attributes:
        source: the key: `s3://bucket/key` of the object.
        status: `success`, `error` or `deleted`.
        sequencer: normalised, of the newest event that was committed.
        etag: of the object that was read, without quotes.
        version_id: of that object, on a versioned bucket.
        fingerprint: of the model.
        error_code: why the object was rejected.
        result: `s3://` address of the result JSON.
        embedding: the vector's bytes, little-endian.
        embedding_dtype: `float32` or `float16`.
        embedding_dim: the number of the vector's elements.
        normalized: whether the vector has length 1.
        norm: the length of the vector before it was normalised.
        labels: of a bundle that has labels.
        width: pixels, as shown.
        height: pixels, as shown.
        size: bytes of the object.
        format: of the image, as sniffed.
        updated_at: when the item was written, ISO 8601, UTC.
    """

    source: str = ""
    status: str | None = None
    sequencer: str | None = None
    etag: str | None = None
    version_id: str | None = None
    fingerprint: str | None = None
    error_code: str | None = None
    result: str | None = None
    embedding: bytes | None = None
    embedding_dtype: str | None = None
    embedding_dim: int | None = None
    normalized: bool | None = None
    norm: float | None = None
    labels: StoredLabels | None = None
    width: int | None = None
    height: int | None = None
    size: int | None = None
    format: str | None = None
    updated_at: str | None = None

    @property
    def is_tombstone(self) -> bool:
        """Whether the key held nothing when the item was written."""
        return self.status == DELETED

    @property
    def is_success(self) -> bool:
        """Whether it has a vector."""
        return self.status == SUCCESS

    @property
    def result_facts(self) -> tuple[object, ...]:
        """What may differ between two JSONs of one name: error code, normalisation and labels."""
        return self.error_code, self.normalized, self.labels


def read_item(wire: WireItem) -> StoredItem:
    """Read an item from DynamoDB's wire form. Attributes that it does not know are ignored."""
    return StoredItem(
        source=text_of(wire, "source") or "",
        status=text_of(wire, "status"),
        sequencer=text_of(wire, "sequencer"),
        etag=text_of(wire, "etag"),
        version_id=text_of(wire, "version_id"),
        fingerprint=text_of(wire, "fingerprint"),
        error_code=text_of(wire, "error_code"),
        result=text_of(wire, "result"),
        embedding=_value(wire, "embedding", "B"),
        embedding_dtype=text_of(wire, "embedding_dtype"),
        embedding_dim=_int(wire, "embedding_dim"),
        normalized=_value(wire, "normalized", "BOOL"),
        norm=_float(wire, "norm"),
        labels=_labels(_value(wire, "labels", "L")),
        width=_int(wire, "width"),
        height=_int(wire, "height"),
        size=_int(wire, "bytes"),
        format=text_of(wire, "format"),
        updated_at=text_of(wire, "updated_at"),
    )


def text_of(wire: WireItem | None, name: str) -> str | None:
    """A string attribute of an item in wire form; None where the item has no such string."""
    value: str | None = _value(wire, name, "S")
    return value


def _value(wire: WireItem | None, name: str, kind: str) -> Any:  # noqa: ANN401 - the type that `kind` names
    attribute: Mapping[str, Any] = (wire or {}).get(name, {})
    return attribute.get(kind)


def _int(wire: WireItem, name: str) -> int | None:
    value: str | None = _value(wire, name, "N")
    return None if value is None else int(value)


def _float(wire: WireItem, name: str) -> float | None:
    value: str | None = _value(wire, name, "N")
    return None if value is None else float(value)


def _labels(wire: "list[Mapping[str, Any]] | None") -> StoredLabels | None:
    if wire is None:
        return None
    return tuple((each["M"]["label"]["S"], float(each["M"]["score"]["N"])) for each in wire)


def says_the_same(item: StoredItem, wanted: StoredItem) -> bool:
    """Whether two items say the same about one object: which bytes, embedded by which model, with which result.

    `touched_at`, which operators' commands set so that the indexes follow again, is no part of that, nor is `norm`,
    which the bytes and the model decide.
    """
    return _content(item) == _content(wanted)


def _content(item: StoredItem) -> tuple[object, ...]:
    return (
        item.etag,
        item.version_id,
        item.fingerprint,
        item.embedding_dtype,
        item.result_facts,
    )
