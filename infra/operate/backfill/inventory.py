"""S3 Inventory as a source of objects: the CSV files listed in its manifest.json.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html: keys are URL-encoded; an
inventory of all versions has columns for the latest version and for delete markers.
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
from infra.operate.backfill.objects import ListedObject, Position, Slice, parse_address, sliced

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_CHUNK_BYTES = 1 << 20
_IN_MEMORY_BYTES = 16 << 20


@dataclass(frozen=True)
class InventoryFile:
    """A CSV file of an inventory, as its manifest lists it."""

    key: str
    md5: str


@dataclass(frozen=True)
class Inventory:
    """A finished inventory of a bucket.

    Attributes:
        s3: an S3 client.
        bucket: the inventoried bucket.
        prefix: only objects with this key prefix are used.
        destination: the bucket that contains the inventory's files.
        columns: column names of the files.
        files: the files.
    """

    s3: "S3Client"
    bucket: str
    prefix: str
    destination: str
    columns: Sequence[str]
    files: Sequence[InventoryFile]

    def slices(self, after: Position | None) -> Iterator[Slice]:
        """Read one file after the other; more than 16 MB of a file go to a temporary file on disk.

        Raises:
            OperatorError: a file is damaged, or its checksum is not the manifest's.
        """
        number, row = after if isinstance(after, tuple) else (0, 0)
        return sliced(self._objects(number, row))

    def _objects(self, number: int, row: int) -> Iterator[tuple[Position, ListedObject]]:
        for index, file in enumerate(self.files):
            if index < number:
                continue
            for line, fields in enumerate(self._rows(file), start=1):
                if index == number and line <= row:
                    continue
                listed = self._listed(dict(zip(self.columns, fields, strict=False)))
                if listed is not None:
                    yield (index, line), listed

    def _rows(self, file: InventoryFile) -> Iterator[list[str]]:
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as buffer:
            self._download(file, buffer)
            try:
                with gzip.open(buffer) as packed, io.TextIOWrapper(packed, "utf-8", newline="") as text:
                    yield from csv.reader(text)
            except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
                raise OperatorError(f"s3://{self.destination}/{file.key} is not a gzipped CSV file ({error})") from None

    def _download(self, file: InventoryFile, buffer: IO[bytes]) -> None:
        digest = hashlib.md5(usedforsecurity=False)
        body = self.s3.get_object(Bucket=self.destination, Key=file.key)["Body"]
        for chunk in body.iter_chunks(_CHUNK_BYTES):
            digest.update(chunk)
            buffer.write(chunk)
        if digest.hexdigest() != file.md5:
            raise OperatorError(f"s3://{self.destination}/{file.key} has another MD5 than its manifest.json lists")
        buffer.seek(0)

    def _listed(self, fields: Mapping[str, str]) -> ListedObject | None:
        """The object of a row; None for old versions, delete markers and other prefixes."""
        if fields.get("IsLatest", "true") == "false" or fields.get("IsDeleteMarker", "false") == "true":
            return None
        key = unquote_plus(fields["Key"])
        if not key.startswith(self.prefix):
            return None
        size = fields.get("Size")
        return ListedObject(key, int(size) if size else None, fields.get("ETag", "").strip('"') or None)


def read_inventory(s3: "S3Client", manifest: str, bucket: str, prefix: str) -> Inventory:
    """Read the manifest of an inventory.

    Args:
        s3: an S3 client.
        manifest: `s3://bucket/…/manifest.json`.
        bucket: the bucket that must have been inventoried.
        prefix: only objects with this key prefix are used.

    Raises:
        OperatorError: it is not the manifest of an inventory of this bucket in CSV format.
    """
    destination, key = parse_address(manifest)
    try:
        fields = orjson.loads(s3.get_object(Bucket=destination, Key=key)["Body"].read())
        format_, source = fields["fileFormat"], fields["sourceBucket"]
        columns = [name.strip() for name in fields["fileSchema"].split(",")]
        files = [InventoryFile(file["key"], file["MD5checksum"]) for file in fields["files"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OperatorError(f"{manifest} is not the manifest.json of an S3 Inventory") from None
    if format_ != "CSV":
        raise OperatorError(
            f"the inventory {manifest} has the format {format_}: configure S3 Inventory for CSV, or omit --inventory"
        )
    if source != bucket:
        raise OperatorError(f"{manifest} is an inventory of the bucket {source}, not of {bucket}")
    if "Key" not in columns:
        raise OperatorError(f"the inventory {manifest} has no column Key")
    return Inventory(s3, bucket, prefix, destination, columns, files)
