"""Write conditions, items, and whether DynamoDB would accept the write."""

from dataclasses import replace
from typing import Any

from handler.results.item import StoredItem
from handler.results.sequencing import BySequencer, CompareAndSwap, WriteCondition

ITEM = StoredItem(
    status="success",
    sequencer="01",
    etag="e",
    version_id="v",
    fingerprint="f",
    error_code=None,
    result="s3://results/x.json",
    embedding=b"1234",
    embedding_dtype="float32",
    normalized=True,
    labels=(("cat", 0.5),),
    updated_at="2026",
)
_IDENTITY = ("updated_at", "sequencer", "etag", "fingerprint", "status")


def changed(item: StoredItem, name: str, value: Any = "other") -> StoredItem:
    """The item with one attribute changed, of whatever type."""
    return replace(item, **{name: value})


def wire_of(item: StoredItem) -> dict[str, Any]:
    """The attributes that a condition can depend on, in wire form."""
    texts = {name: getattr(item, name) for name in _IDENTITY}
    return {"source": {"S": "x"}, **{name: {"S": text} for name, text in texts.items() if text}}


_SEEN = [ITEM, replace(ITEM, sequencer=None), replace(ITEM, etag=None, fingerprint=None, status="deleted")]
# An empty item is one that does not exist.
CASES: list[tuple[WriteCondition, dict[str, Any], bool]] = [
    (BySequencer("01"), {}, True),
    (BySequencer("01"), wire_of(ITEM), False),
    (BySequencer("02"), wire_of(ITEM), True),
    (BySequencer("00"), wire_of(ITEM), False),
    (BySequencer("02"), wire_of(replace(ITEM, sequencer=None)), False),
    (CompareAndSwap(None), {}, True),
    (CompareAndSwap(None), wire_of(ITEM), False),
    (CompareAndSwap(ITEM), {}, False),
    *((CompareAndSwap(seen), wire_of(seen), True) for seen in _SEEN),
    *(
        (CompareAndSwap(seen), wire_of(changed(seen, name, value)), False)
        for seen in _SEEN
        for name in _IDENTITY
        for value in ("other", None)
        if getattr(seen, name) != value
    ),
]
