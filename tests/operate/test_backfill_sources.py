"""The sources of a backfill's objects: a listing, or an S3 Inventory."""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote_plus

import pytest

from infra.common.errors import OperatorError
from infra.operate.backfill.inventory import Inventory, read_inventory
from infra.operate.backfill.objects import SLICE, ListedObject, Listing, ObjectSource, Position, parse_address
from infra.operate.stack import DeployedStack
from tests.operate.conftest import BUCKET

ODD = ["a b/1+1=2.png", "a b/50%25.png", 'a b/Ünï,"quoted".png', "a b/\u65e5\u672c.png", "a b/line\nbreak.png"]


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def keys(source: ObjectSource, after: Position | None = None) -> list[str]:
    return [listed.key for part in source.slices(after) for listed in part.objects]


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://bucket/a b/c+", ("bucket", "a b/c+")),
    ],
)
def test_an_address_is_split_into_bucket_and_prefix(url: str, parts: tuple[str, str]) -> None:
    assert parse_address(url) == parts


@pytest.mark.parametrize("url", ["", "bucket/key", "s3:/bucket", "s3://", "s3:///key", "https://bucket/key"])
def test_any_other_form_is_an_error(url: str) -> None:
    with pytest.raises(OperatorError, match="is not of the form s3://bucket/prefix"):
        parse_address(url)


def test_a_listing_resumes_from_any_position(stack: DeployedStack) -> None:
    names = sorted([*ODD, *(f"a b/{number:04}" for number in range(230))], key=str.encode)
    for name in [*names, "elsewhere.png"]:
        stack.s3.put_object(Bucket=BUCKET, Key=name, Body=b"123")
    listing = Listing(stack.s3, BUCKET, "a b/")
    parts = list(listing.slices(None))
    assert [len(part.objects) for part in parts] == [SLICE, SLICE, len(names) - 2 * SLICE]
    assert keys(listing) == names
    assert parts[0].objects[0] == ListedObject(names[0], 3, md5(b"123"))
    for part in parts:
        assert keys(listing, part.position) == names[names.index(part.objects[-1].key) + 1 :]


def inventory(stack: DeployedStack, reports: Sequence[Sequence[Sequence[str]]], schema: str, **changes: Any) -> str:
    """Put an inventory with these CSV files; returns the address of its manifest."""
    stack.s3.create_bucket(Bucket="reports")
    entries = []
    for number, rows in enumerate(reports):
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
        data = gzip.compress(text.getvalue().encode())
        stack.s3.put_object(Bucket="reports", Key=f"data/{number}.csv.gz", Body=data)
        entries.append({"key": f"data/{number}.csv.gz", "MD5checksum": md5(data)})
    manifest = {"sourceBucket": BUCKET, "fileFormat": "CSV", "fileSchema": schema, "files": entries, **changes}
    stack.s3.put_object(Bucket="reports", Key="2026/manifest.json", Body=json.dumps(manifest).encode())
    return "s3://reports/2026/manifest.json"


def row(key: str, *more: str) -> list[str]:
    return [BUCKET, quote_plus(key, safe="/"), *more]


def read(stack: DeployedStack, manifest: str, prefix: str = "") -> Inventory:
    return read_inventory(stack.s3, manifest, BUCKET, prefix)


def test_an_inventory_gives_keys_sizes_and_etags(stack: DeployedStack) -> None:
    manifest = inventory(stack, [[row(key, "7", f"e{at}") for at, key in enumerate(ODD)]], "Bucket, Key, Size, ETag")
    (part,) = read(stack, manifest).slices(None)
    assert list(part.objects) == [ListedObject(key, 7, f"e{at}") for at, key in enumerate(ODD)]


def test_an_inventory_resumes_from_any_position(stack: DeployedStack) -> None:
    files = [[row(f"{file}/{number:03}") for number in range(130)] for file in range(3)]
    source = read(stack, inventory(stack, files, "Bucket, Key"))
    everything = keys(source)
    assert len(everything) == 390
    done = 0
    for part in source.slices(None):
        done += len(part.objects)
        assert keys(source, part.position) == everything[done:]


def test_old_versions_and_delete_markers_in_an_inventory_are_skipped(stack: DeployedStack) -> None:
    rows = [
        row("now.png", "v2", "true", "false", "5"),
        row("now.png", "v1", "false", "false", "4"),
        row("gone.png", "v3", "true", "true", ""),
        row("other/prefix.png", "v1", "true", "false", "4"),
    ]
    manifest = inventory(stack, [rows], "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size")
    (part,) = read(stack, manifest, "now").slices(None)
    assert part.objects == (ListedObject("now.png", 5, None),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fileFormat": "Parquet"}, "has the format Parquet: configure S3 Inventory for CSV"),
        ({"fileFormat": "ORC"}, "has the format ORC"),
        ({"sourceBucket": "another"}, "is an inventory of the bucket another, not of pictures"),
        ({"fileSchema": "Bucket, Size"}, "has no column Key"),
        ({"files": "none"}, "is not the manifest.json of an S3 Inventory"),
        (
            {"files": [{"key": "data/0.csv.gz", "MD5checksum": "0" * 32}]},
            r"data/0\.csv\.gz has another MD5 than its manifest\.json lists",
        ),
    ],
)
def test_an_unusable_inventory_is_an_error(stack: DeployedStack, changes: dict[str, Any], message: str) -> None:
    manifest = inventory(stack, [[row("a.png")]], "Bucket, Key", **changes)
    with pytest.raises(OperatorError, match=message):
        keys(read(stack, manifest))


def test_a_file_that_is_not_gzipped_is_an_error(stack: DeployedStack) -> None:
    text = b"pictures,a.png\n"
    manifest = inventory(stack, [], "Bucket, Key", files=[{"key": "plain.csv", "MD5checksum": md5(text)}])
    stack.s3.put_object(Bucket="reports", Key="plain.csv", Body=text)
    with pytest.raises(OperatorError, match=r"plain\.csv is not a gzipped CSV file"):
        keys(read(stack, manifest))
