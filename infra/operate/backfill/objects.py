"""The objects of a bucket in slices, each with the position from which a later run can resume."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from infra.common.errors import OperatorError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ListObjectsV2RequestPaginateTypeDef

# DynamoDB's maximum for a BatchGetItem call.
SLICE = 100

# A position in a source: a key of a listing, or a file number and a row of an inventory.
Position = str | tuple[int, int]


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object in a listing or an inventory.

    Attributes:
        key: not URL-encoded.
        bytes: the object's size; None if the inventory has no sizes.
        etag: without quotes; None if the inventory has no ETags.
    """

    key: str
    bytes: int | None
    etag: str | None

    @property
    def is_folder_marker(self) -> bool:
        """Whether it only marks a folder, as the S3 console creates them; the function ignores it."""
        return self.bytes == 0 and self.key.endswith("/")


@dataclass(frozen=True)
class Slice:
    """Consecutive objects of a source.

    Attributes:
        objects: at most `SLICE`.
        position: position of the last one.
    """

    objects: tuple[ListedObject, ...]
    position: Position


class ObjectSource(Protocol):
    """A source of objects, always in the same order."""

    @property
    def bucket(self) -> str:
        """The objects' bucket."""

    def slices(self, after: Position | None) -> Iterator[Slice]:
        """Yield all objects after a position, or all objects for None."""


@dataclass(frozen=True)
class Listing:
    """The current objects of a bucket, in the order of their keys.

    Attributes:
        s3: an S3 client.
        bucket: the bucket's name.
        prefix: key prefix.
    """

    s3: "S3Client"
    bucket: str
    prefix: str

    def slices(self, after: Position | None) -> Iterator[Slice]:
        """List the bucket in pages of a thousand keys."""
        request: ListObjectsV2RequestPaginateTypeDef = {"Bucket": self.bucket, "Prefix": self.prefix}
        if isinstance(after, str):
            request["StartAfter"] = after
        pages = self.s3.get_paginator("list_objects_v2").paginate(**request)
        entries = (entry for page in pages for entry in page.get("Contents", []))
        objects = (ListedObject(entry["Key"], entry["Size"], entry["ETag"].strip('"')) for entry in entries)
        return sliced((listed.key, listed) for listed in objects)


def sliced(entries: Iterable[tuple[Position, ListedObject]]) -> Iterator[Slice]:
    """Group objects, each with its position, into slices."""
    rest = iter(entries)
    while some := tuple(islice(rest, SLICE)):
        yield Slice(tuple(listed for _, listed in some), some[-1][0])


def parse_address(url: str) -> tuple[str, str]:
    """Split `s3://bucket/prefix` into bucket and prefix, which may be empty.

    Raises:
        OperatorError: it has another form.
    """
    scheme, separator, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if (scheme, separator) != ("s3", "://") or not bucket:
        raise OperatorError(f"{url!r} is not of the form s3://bucket/prefix, or s3://bucket for the whole bucket")
    return bucket, prefix
