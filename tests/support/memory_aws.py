"""S3 and DynamoDB in memory, with the methods of the function's own clients: fast enough for many thousand histories.

S3 is strongly consistent, keeps versions and delete markers, and archives. DynamoDB evaluates the condition expressions
that the function writes; a read that does not ask for consistency gets the state before the last write of its item.
"""

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from handler.aws.sdk.errors import ServiceError
from handler.aws.sdk.s3 import ListedObject, ListPage

Item = dict[str, Any]


@dataclass
class Version:
    """One version of a key; a delete marker has no data."""

    id: str | None
    data: bytes | None
    archived: bool = False

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data or b"", usedforsecurity=False).hexdigest()}"'


@dataclass
class MemoryObject:
    """The answer to a GET."""

    size: int
    etag: str
    version_id: str | None
    data: bytes

    def chunks(self, _: int) -> Iterator[bytes]:
        yield self.data

    def read(self) -> bytes:
        return self.data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@dataclass
class MemoryS3:
    """Buckets by name; each key has its versions, newest last. On an unversioned bucket there is at most one.

    Attributes:
        versioned: the versioned buckets.
        page: so many objects are in one page of a listing.
    """

    versioned: set[str] = field(default_factory=set)
    page: int = 1000
    keys: dict[tuple[str, str], list[Version]] = field(default_factory=dict)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # The function's calls.

    def get_object(self, bucket: str, key: str) -> MemoryObject:
        version = self.current(bucket, key)
        if version is None or version.data is None:
            raise ServiceError("GetObject", 404, "NoSuchKey", "The specified key does not exist.", {})
        if version.archived:
            message = "The operation is not valid for the object's storage class"
            raise ServiceError("GetObject", 403, "InvalidObjectState", message, {})
        return MemoryObject(len(version.data), version.etag, version.id, version.data)

    def put_object(self, bucket: str, key: str, body: bytes, _: str, *, if_absent: bool) -> None:
        if if_absent and self.exists(bucket, key):
            raise ServiceError("PutObject", 412, "PreconditionFailed", "the object exists", {})
        self.add(bucket, key, Version(self._id(bucket), body))

    def delete_object(self, bucket: str, key: str) -> None:
        self.add(bucket, key, Version(self._id(bucket), None))

    def list_objects(
        self, bucket: str, prefix: str, *, delimiter: str = "", max_keys: int = 1000, token: str | None = None
    ) -> ListPage:
        found = [
            (key, versions[-1])
            for (of, key), versions in sorted(self.keys.items())
            if of == bucket and key.startswith(prefix) and self.exists(bucket, key) and key > (token or "")
        ]
        found = [(key, one) for key, one in found if not delimiter or delimiter not in key[len(prefix) :]]
        size = min(max_keys, self.page)
        entries = tuple(ListedObject(key, one.etag, len(one.data or b"")) for key, one in found[:size])
        return ListPage(entries, entries[-1].key if len(found) > size else None)

    # The owner's.

    def current(self, bucket: str, key: str) -> Version | None:
        versions = self.keys.get((bucket, key))
        return versions[-1] if versions else None

    def exists(self, bucket: str, key: str) -> bool:
        version = self.current(bucket, key)
        return version is not None and version.data is not None

    def add(self, bucket: str, key: str, version: Version) -> None:
        if bucket in self.versioned:
            self.keys.setdefault((bucket, key), []).append(version)
        else:
            self.keys[bucket, key] = [version]

    def put(self, bucket: str, key: str, data: bytes, *, archived: bool) -> None:
        self.add(bucket, key, Version(self._id(bucket), data, archived))

    def _id(self, bucket: str) -> str | None:
        return f"version-{next(self.ids)}" if bucket in self.versioned else None


@dataclass
class MemoryDynamoDB:
    """One table.

    Attributes:
        items: by key.
        before: the state of each item before its last write.
        changes: of the table's stream: each item before and after a write, None where there is none.
    """

    items: dict[str, Item] = field(default_factory=dict)
    before: dict[str, Item | None] = field(default_factory=dict)
    changes: list[tuple[Item | None, Item | None]] = field(default_factory=list)

    def get_item(self, **request: Any) -> dict[str, Any]:
        source = request["Key"]["source"]["S"]
        consistent = request.get("ConsistentRead", False)
        item = self.items.get(source) if consistent else self.before.get(source)
        return {} if item is None else {"Item": dict(item)}

    def put_item(self, **request: Any) -> dict[str, Any]:
        item = request["Item"]
        source = item["source"]["S"]
        old = self.items.get(source)
        if not is_met(request["ConditionExpression"], request, old or {}):
            asked = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
            fields = {"Item": dict(old)} if old is not None and asked else {}
            raise ServiceError(
                "PutItem", 400, "ConditionalCheckFailedException", "The conditional request failed", fields
            )
        self._write(source, dict(item))
        asked = request.get("ReturnValues") == "ALL_OLD"
        return {"Attributes": dict(old)} if old is not None and asked else {}

    # The operator's, and DynamoDB's own.

    def touch(self, source: str, now: str) -> None:
        """Set `touched_at` on the condition that the item exists."""
        if source in self.items:
            self._write(source, {**self.items[source], "touched_at": {"S": now}})

    def replace(self, item: Item) -> None:
        """Write an item without a condition, as `forget` does."""
        self._write(item["source"]["S"], dict(item))

    def remove(self, source: str) -> None:
        """Remove an item, as DynamoDB does after its `expires_at`."""
        self._write(source, None)

    def _write(self, source: str, item: Item | None) -> None:
        old = self.items.pop(source, None)
        self.before[source] = old
        if item is not None:
            self.items[source] = item
        if item != old:  # DynamoDB writes no record where nothing changed
            self.changes.append((old, item))


def is_met(expression: str, request: Mapping[str, Any], item: Item) -> bool:
    """Evaluate `a OR b` or `a AND b` of `attribute_not_exists(#x)`, `#x = :y` and `#x < :y`, as DynamoDB does."""
    if " OR " in expression:
        return any(is_met(term, request, item) for term in expression.split(" OR "))
    if " AND " in expression:
        return all(is_met(term, request, item) for term in expression.split(" AND "))
    names = request["ExpressionAttributeNames"]
    if expression.startswith("attribute_not_exists("):
        return names[expression.removeprefix("attribute_not_exists(").removesuffix(")")] not in item
    name, operator, value = expression.split(" ")
    attribute, wanted = item.get(names[name]), request["ExpressionAttributeValues"][value]
    if attribute is None:
        return False
    if operator == "=":
        return bool(attribute == wanted)
    assert operator == "<", expression
    return bool(attribute["S"] < wanted["S"])
