"""The objects of a bucket, in slices, each with the place after which a later run goes on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from infra.common.errors import OperatorError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ListObjectsV2RequestPaginateTypeDef

# As many as DynamoDB is asked for at a time.
SLICE = 100

# Where a run stands: a key of a listing, or a file and a row of an inventory.
Place = str | tuple[int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """An object as a listing or an inventory has it.

    Attributes:
        key: decoded.
        bytes: its size; None where an inventory does not say.
        etag: without quotes; None where an inventory does not say.
    """

    key: str
    bytes: int | None
    etag: str | None

    @property
    def is_folder_marker(self) -> bool:
        """Whether it only stands for a folder; the function ignores it."""
        return self.bytes == 0 and self.key.endswith("/")


@dataclass(frozen=True)
class Slice:
    """A few objects.

    Attributes:
        objects: at most `SLICE`.
        place: of the last of them.
    """

    objects: tuple[Found, ...]
    place: Place


class Source(Protocol):
    """Where objects come from, always in the same order."""

    @property
    def bucket(self) -> str:
        """That they are in."""

    def slices(self, after: Place | None) -> Iterator[Slice]:
        """All objects behind a place, without ever holding all of them."""


@dataclass(frozen=True)
class Listing:
    """What S3 lists now, in the order of its keys.

    Attributes:
        s3: a client.
        bucket: its name.
        prefix: what every key starts with.
    """

    s3: "S3Client"
    bucket: str
    prefix: str

    def slices(self, after: Place | None) -> Iterator[Slice]:
        """List; a thousand keys are held."""
        request: ListObjectsV2RequestPaginateTypeDef = {"Bucket": self.bucket, "Prefix": self.prefix}
        if isinstance(after, str):
            request["StartAfter"] = after
        pages = self.s3.get_paginator("list_objects_v2").paginate(**request)
        entries = (entry for page in pages for entry in page.get("Contents", []))
        found = (Found(entry["Key"], entry["Size"], entry["ETag"].strip('"')) for entry in entries)
        return sliced((entry.key, entry) for entry in found)


def sliced(entries: Iterable[tuple[Place, Found]]) -> Iterator[Slice]:
    """Put entries, each with its place, into slices."""
    rest = iter(entries)
    while some := tuple(islice(rest, SLICE)):
        yield Slice(tuple(found for _, found in some), some[-1][0])


def address(url: str) -> tuple[str, str]:
    """`s3://bucket/prefix` -> bucket and prefix, which may be empty.

    Raises:
        OperatorError: it is none.
    """
    scheme, separator, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if (scheme, separator) != ("s3", "://") or not bucket:
        raise OperatorError(f"{url!r} is not an address: s3://bucket/prefix, or s3://bucket for all of it")
    return bucket, prefix
