"""All versions of objects, and what protects them from deletion."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# Buckets without the setting, and S3-compatible services that do not know it.
_NO_LOCK = frozenset({"ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration", "NotImplemented"})
_NOTHING_SET = frozenset({"NoSuchObjectLockConfiguration", "InvalidRequest"})


@dataclass(frozen=True)
class Version:
    """A version of an object, or a delete marker.

    Attributes:
        key: the object's key.
        version_id: `null` on a bucket without versions.
        is_marker: whether it is a delete marker.
    """

    key: str
    version_id: str
    is_marker: bool


def versions_of(s3: "S3Client", bucket: str, key: str) -> list[Version]:
    """All versions and delete markers of one key."""
    found: list[Version] = []
    for page in _pages(s3, bucket, key):
        found += (each for each in page if each.key == key)
        if any(each.key != key for each in page):  # S3 lists the key itself before longer ones
            break
    return found


def versions_of_children(s3: "S3Client", bucket: str, prefix: str) -> list[Version]:
    """All versions and delete markers of the direct children of a prefix that ends in a slash."""
    pages = _pages(s3, bucket, prefix)
    return [each for page in pages for each in page if "/" not in each.key.removeprefix(prefix)]


def _pages(s3: "S3Client", bucket: str, prefix: str) -> Iterator[list[Version]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        versions = [Version(entry["Key"], entry["VersionId"], is_marker=False) for entry in page.get("Versions", [])]
        markers = [Version(entry["Key"], entry["VersionId"], is_marker=True) for entry in page.get("DeleteMarkers", [])]
        yield versions + markers


def delete_version(s3: "S3Client", bucket: str, version: Version) -> None:
    """Delete a version permanently."""
    s3.delete_object(Bucket=bucket, Key=version.key, VersionId=version.version_id)


def has_object_lock(s3: "S3Client", bucket: str) -> bool:
    """Whether versions of a bucket can be protected from deletion."""
    try:
        answer = s3.get_object_lock_configuration(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _NO_LOCK:
            raise
        return False
    return answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"


def protection(s3: "S3Client", bucket: str, version: Version, now: datetime | None = None) -> str | None:
    """Why Object Lock does not let a version be deleted; None if it does."""
    if version.is_marker:
        return None
    where: Any = {"Bucket": bucket, "Key": version.key, "VersionId": version.version_id}
    hold = _setting(lambda: s3.get_object_legal_hold(**where)).get("LegalHold", {})
    if hold.get("Status") == "ON":
        return "a legal hold"
    retention = _setting(lambda: s3.get_object_retention(**where)).get("Retention", {})
    until = retention.get("RetainUntilDate")
    if until is not None and until > (now or datetime.now(UTC)):
        return f"{retention.get('Mode', '').lower()} retention until {until:%Y-%m-%d}"
    return None


def _setting(ask: Any) -> Any:  # noqa: ANN401 - a call of boto3 and its answer
    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] not in _NOTHING_SET:
            raise
        return {}
