"""Delete an image and everything that was made of it.

The order matters while the function may be at work on the same key: the object goes first, then the item becomes a
tombstone, then the JSONs go. The tombstone has no sequencer, so a worker that read the object before cannot replace it
by its event's order: it must compare and swap, reads the object again, and finds none.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from handler.results.keys import result_prefixes, source_of
from handler.results.record import TOMBSTONE_LIFE, tombstone_of, utc_now
from infra.common.errors import OperatorError, UsageError
from infra.operate.search.indexes import Indexes, find_indexes
from infra.operate.search.items import read_items
from infra.operate.search.unreachable import unreachable
from infra.operate.search.versions import (
    Version,
    delete_version,
    has_object_lock,
    protection,
    versions_of,
    versions_of_children,
)
from infra.operate.stack import RESULTS, DeployedStack

_POLL_SECONDS = 0.5


@dataclass
class Forgotten:
    """What was deleted.

    Attributes:
        source: `s3://bucket/key`.
        versions: versions of the object, with delete markers.
        results: versions of its JSONs.
        uploads: multipart uploads that were under way.
        indexes: the indexes that had a vector.
        tombstone_expires_at: ISO 8601, UTC.
        not_reached: copies that may still be there.
    """

    source: str
    versions: int = 0
    results: int = 0
    uploads: int = 0
    indexes: list[str] = field(default_factory=list)
    tombstone_expires_at: str = ""
    not_reached: list[str] = field(default_factory=list)


def forget(stack: DeployedStack, source: str, wait_seconds: float) -> dict[str, Any]:
    """Delete an object, print what was done and what remains elsewhere, and return it for --json.

    Args:
        stack: the stack.
        source: `s3://bucket/key`, the key not URL-encoded.
        wait_seconds: how long to wait until no index has its vector.

    Raises:
        UsageError: `source` has another form.
        OperatorError: Object Lock protects a version, there is nothing to delete, or an index still has the vector.
    """
    target = _Target.of(stack, source)
    target.check()
    done = Forgotten(source, indexes=[] if target.indexes is None else target.indexes.holding(source))
    if not target.exists() and not done.indexes:
        raise OperatorError(f"there is no object, item, JSON or vector of {source}; check the key, not URL-encoded")
    deadline = time.monotonic() + wait_seconds
    while True:
        target.delete(done)
        wait_for_indexes(target, deadline, wait_seconds)
        if not target.came_back():
            break
        if time.monotonic() > deadline:
            raise OperatorError(f"{source} comes back again and again: stop its uploads, and run forget again")
    done.not_reached = unreachable(stack, target.bucket)
    _print(done)
    return vars(done)


@dataclass(frozen=True)
class _Target:
    """One key, and where its copies are."""

    stack: DeployedStack
    bucket: str
    key: str
    results_bucket: str
    prefixes: Sequence[str]
    indexes: Indexes | None

    @classmethod
    def of(cls, stack: DeployedStack, source: str) -> "_Target":
        bucket, _, key = source.removeprefix("s3://").partition("/")
        if not source.startswith("s3://") or not bucket or not key:
            raise UsageError(f"{source} is not of the form s3://bucket/key")
        results_bucket = stack.resource(RESULTS)
        if bucket == results_bucket:
            raise UsageError(f"{source} is a result: give the address of the image, and its results go with it")
        prefixes = result_prefixes(stack.results_prefix, bucket, key)
        return cls(stack, bucket, key, results_bucket, prefixes, find_indexes(stack))

    @property
    def source(self) -> str:
        return source_of(self.bucket, self.key)

    def objects(self) -> list[Version]:
        return versions_of(self.stack.s3, self.bucket, self.key)

    def results(self) -> list[Version]:
        """The JSONs of the key, also one under a prefix that the stack used before."""
        s3 = self.stack.s3
        found = [each for prefix in self.prefixes for each in versions_of_children(s3, self.results_bucket, prefix)]
        item = read_items(self.stack, [self.source], ["result"]).get(self.source)
        address = (item.result if item is not None else None) or ""
        named = address.removeprefix(f"s3://{self.results_bucket}/")
        if named != address and all(each.key != named for each in found):
            found += versions_of(s3, self.results_bucket, named)
        return found

    def check(self) -> None:
        """Refuse if a version could not be deleted, before anything is."""
        for bucket, versions in ((self.bucket, self.objects), (self.results_bucket, self.results)):
            for version in versions() if has_object_lock(self.stack.s3, bucket) else ():
                reason = protection(self.stack.s3, bucket, version)
                if reason is not None:
                    raise OperatorError(
                        f"nothing was deleted: Object Lock protects version {version.version_id} of "
                        f"{source_of(bucket, version.key)} ({reason})"
                    )

    def exists(self) -> bool:
        return bool(self.objects() or self.results() or read_items(self.stack, [self.source], ["status"]))

    def delete(self, done: Forgotten) -> None:
        """Delete the object, write the tombstone, and delete the JSONs."""
        done.uploads += self._abort_uploads()
        for version in self.objects():
            delete_version(self.stack.s3, self.bucket, version)
            done.versions += 1
        results = self.results()  # the item still names them
        tombstone = tombstone_of(self.source, None, None, now := utc_now())
        self.stack.dynamodb.put_item(TableName=self.stack.table, Item=tombstone)
        done.tombstone_expires_at = f"{now + TOMBSTONE_LIFE:%Y-%m-%dT%H:%M:%SZ}"
        for result in {*results, *self.results()}:
            delete_version(self.stack.s3, self.results_bucket, result)
            done.results += 1

    def _abort_uploads(self) -> int:
        """Abort multipart uploads of the key, which would create the object again when they complete."""
        pages = self.stack.s3.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=self.key)
        found = [each["UploadId"] for page in pages for each in page.get("Uploads", []) if each["Key"] == self.key]
        for upload in found:
            self.stack.s3.abort_multipart_upload(Bucket=self.bucket, Key=self.key, UploadId=upload)
        return len(found)

    def came_back(self) -> bool:
        """Whether an upload or a worker under way has written something meanwhile."""
        item = read_items(self.stack, [self.source], ["status"]).get(self.source)
        return bool(item is None or not item.is_tombstone or self.objects() or self.results())


def wait_for_indexes(target: _Target, deadline: float, wait_seconds: float) -> None:
    """Wait until no index has a vector of the object.

    Raises:
        OperatorError: one still has it after the time.
    """
    if target.indexes is None:
        return
    while holding := target.indexes.holding(target.source):
        if time.monotonic() > deadline:
            raise OperatorError(
                f"object, item and JSONs are deleted, but after {wait_seconds:.0f} s the vector is still in "
                f"{', '.join(holding)}: check the indexer with `index status`, and run forget again"
            )
        time.sleep(_POLL_SECONDS)


def _print(done: Forgotten) -> None:
    indexes = f", vectors in {len(done.indexes)} indexes" if done.indexes else ""
    uploads = f", {done.uploads} uploads under way" if done.uploads else ""
    print(f"Deleted {done.versions} versions of {done.source}, {done.results} result JSONs{indexes}{uploads}.")
    print(f"Its item is a tombstone until {done.tombstone_expires_at}. Not deleted:")
    for copy in done.not_reached:
        print(f"- {copy}")
