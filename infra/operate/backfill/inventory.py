"""S3 Inventory as a source: the CSV reports that a manifest.json names.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html: keys are URL-encoded; a report of
all versions says which is the latest, and which is a delete marker.
"""

import csv
import gzip
import hashlib
import io
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote_plus

import orjson

from infra.common.errors import OperatorError
from infra.operate.backfill.objects import Found, Place, Slice, address, sliced

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_CHUNK_BYTES = 1 << 20
_IN_MEMORY_BYTES = 16 << 20


@dataclass(frozen=True)
class Report:
    """One file of an inventory."""

    key: str
    md5: str


@dataclass(frozen=True)
class Inventory:
    """A finished inventory of a bucket.

    Attributes:
        s3: a client.
        bucket: that was listed.
        prefix: only keys that start with it are taken.
        home: the bucket that the reports are in.
        columns: of the reports.
        reports: the files.
    """

    s3: "S3Client"
    bucket: str
    prefix: str
    home: str
    columns: Sequence[str]
    reports: Sequence[Report]

    def slices(self, after: Place | None) -> Iterator[Slice]:
        """Read one report after the other; of one at a time, at most 16 MB are held, more goes to a temporary file.

        Raises:
            OperatorError: a report is damaged, or is not what the manifest says.
        """
        number, row = after if isinstance(after, tuple) else (0, 0)
        return sliced(self._objects(number, row))

    def _objects(self, number: int, row: int) -> Iterator[tuple[Place, Found]]:
        for at, report in enumerate(self.reports):
            if at < number:
                continue
            for line, fields in enumerate(self._rows(report), start=1):
                if at == number and line <= row:
                    continue
                found = self._found(dict(zip(self.columns, fields, strict=False)))
                if found is not None:
                    yield (at, line), found

    def _rows(self, report: Report) -> Iterator[list[str]]:
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as file:
            self._fetch(report, file)
            try:
                with gzip.open(file) as packed, io.TextIOWrapper(packed, "utf-8", newline="") as text:
                    yield from csv.reader(text)
            except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
                raise OperatorError(f"s3://{self.home}/{report.key} is no gzipped CSV ({error})") from None

    def _fetch(self, report: Report, file: IO[bytes]) -> None:
        digest = hashlib.md5(usedforsecurity=False)
        body = self.s3.get_object(Bucket=self.home, Key=report.key)["Body"]
        for chunk in body.iter_chunks(_CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
        if digest.hexdigest() != report.md5:
            raise OperatorError(f"s3://{self.home}/{report.key} is not the file that its manifest.json names (MD5)")
        file.seek(0)

    def _found(self, fields: Mapping[str, str]) -> Found | None:
        """None for what a GET of the key does not return, and for other prefixes."""
        if fields.get("IsLatest", "true") == "false" or fields.get("IsDeleteMarker", "false") == "true":
            return None
        key = unquote_plus(fields["Key"])
        if not key.startswith(self.prefix):
            return None
        size = fields.get("Size")
        return Found(key, int(size) if size else None, fields.get("ETag", "").strip('"') or None)


def read_inventory(s3: "S3Client", manifest: str, bucket: str, prefix: str) -> Inventory:
    """Read the manifest of an inventory.

    Args:
        s3: a client.
        manifest: `s3://bucket/…/manifest.json`.
        bucket: that it must be an inventory of.
        prefix: only keys that start with it are wanted.

    Raises:
        OperatorError: it is none, of another bucket, or not of CSV files.
    """
    home, key = address(manifest)
    try:
        fields = orjson.loads(s3.get_object(Bucket=home, Key=key)["Body"].read())
        format_, source = fields["fileFormat"], fields["sourceBucket"]
        columns = [name.strip() for name in fields["fileSchema"].split(",")]
        reports = [Report(file["key"], file["MD5checksum"]) for file in fields["files"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OperatorError(f"{manifest} is not the manifest.json of an S3 Inventory") from None
    if format_ != "CSV":
        raise OperatorError(f"{manifest} is an inventory as {format_}: have S3 write it as CSV, or list without it")
    if source != bucket:
        raise OperatorError(f"{manifest} is an inventory of {source}, not of {bucket}")
    if "Key" not in columns:
        raise OperatorError(f"{manifest} is an inventory without keys")
    return Inventory(s3, bucket, prefix, home, columns, reports)
