"""Where a backfill has its objects from: a listing, or an S3 Inventory."""

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
from infra.operate.account import Account
from infra.operate.backfill.inventory import Inventory, read_inventory
from infra.operate.backfill.objects import SLICE, Found, Listing, Place, Source, address
from tests.operate.conftest import BUCKET

ODD = ["a b/1+1=2.png", "a b/50%25.png", 'a b/Ünï,"quoted".png', "a b/\u65e5\u672c.png", "a b/line\nbreak.png"]


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def keys(source: Source, after: Place | None = None) -> list[str]:
    return [found.key for part in source.slices(after) for found in part.objects]


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://bucket/a b/c+", ("bucket", "a b/c+")),
    ],
)
def test_an_address_is_a_bucket_and_a_prefix(url: str, parts: tuple[str, str]) -> None:
    assert address(url) == parts


@pytest.mark.parametrize("url", ["", "bucket/key", "s3:/bucket", "s3://", "s3:///key", "https://bucket/key"])
def test_anything_else_is_none(url: str) -> None:
    with pytest.raises(OperatorError, match="is not an address"):
        address(url)


def test_a_listing_goes_on_behind_any_of_its_places(account: Account) -> None:
    names = sorted([*ODD, *(f"a b/{number:04}" for number in range(230))], key=str.encode)
    for name in [*names, "elsewhere.png"]:
        account.s3.put_object(Bucket=BUCKET, Key=name, Body=b"123")
    listing = Listing(account.s3, BUCKET, "a b/")
    parts = list(listing.slices(None))
    assert [len(part.objects) for part in parts] == [SLICE, SLICE, len(names) - 2 * SLICE]
    assert keys(listing) == names
    assert parts[0].objects[0] == Found(names[0], 3, md5(b"123"))
    for part in parts:
        assert keys(listing, part.place) == names[names.index(part.objects[-1].key) + 1 :]


def inventory(account: Account, reports: Sequence[Sequence[Sequence[str]]], schema: str, **changes: Any) -> str:
    """Put an inventory of CSV files; the address of its manifest."""
    account.s3.create_bucket(Bucket="reports")
    entries = []
    for number, rows in enumerate(reports):
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
        data = gzip.compress(text.getvalue().encode())
        account.s3.put_object(Bucket="reports", Key=f"data/{number}.csv.gz", Body=data)
        entries.append({"key": f"data/{number}.csv.gz", "MD5checksum": md5(data)})
    manifest = {"sourceBucket": BUCKET, "fileFormat": "CSV", "fileSchema": schema, "files": entries, **changes}
    account.s3.put_object(Bucket="reports", Key="2026/manifest.json", Body=json.dumps(manifest).encode())
    return "s3://reports/2026/manifest.json"


def row(key: str, *more: str) -> list[str]:
    return [BUCKET, quote_plus(key, safe="/"), *more]


def read(account: Account, manifest: str, prefix: str = "") -> Inventory:
    return read_inventory(account.s3, manifest, BUCKET, prefix)


def test_an_inventory_is_read_as_a_listing_is(account: Account) -> None:
    manifest = inventory(account, [[row(key, "7", f"e{at}") for at, key in enumerate(ODD)]], "Bucket, Key, Size, ETag")
    (part,) = read(account, manifest).slices(None)
    assert list(part.objects) == [Found(key, 7, f"e{at}") for at, key in enumerate(ODD)]


def test_an_inventory_goes_on_behind_any_of_its_places(account: Account) -> None:
    files = [[row(f"{file}/{number:03}") for number in range(130)] for file in range(3)]
    source = read(account, inventory(account, files, "Bucket, Key"))
    everything = keys(source)
    assert len(everything) == 390
    done = 0
    for part in source.slices(None):
        done += len(part.objects)
        assert keys(source, part.place) == everything[done:]


def test_only_what_a_get_returns_is_taken_from_an_inventory_of_versions(account: Account) -> None:
    rows = [
        row("now.png", "v2", "true", "false", "5"),
        row("now.png", "v1", "false", "false", "4"),
        row("gone.png", "v3", "true", "true", ""),
        row("other/prefix.png", "v1", "true", "false", "4"),
    ]
    manifest = inventory(account, [rows], "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size")
    (part,) = read(account, manifest, "now").slices(None)
    assert part.objects == (Found("now.png", 5, None),)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fileFormat": "Parquet"}, "is an inventory as Parquet: have S3 write it as CSV"),
        ({"fileFormat": "ORC"}, "is an inventory as ORC"),
        ({"sourceBucket": "another"}, "is an inventory of another, not of pictures"),
        ({"fileSchema": "Bucket, Size"}, "without keys"),
        ({"files": "none"}, "is not the manifest.json of an S3 Inventory"),
        (
            {"files": [{"key": "data/0.csv.gz", "MD5checksum": "0" * 32}]},
            "is not the file that its manifest.json names",
        ),
    ],
)
def test_an_inventory_that_cannot_be_used_is_told(account: Account, changes: dict[str, Any], said: str) -> None:
    manifest = inventory(account, [[row("a.png")]], "Bucket, Key", **changes)
    with pytest.raises(OperatorError, match=said):
        keys(read(account, manifest))


def test_a_report_that_is_no_gzip_is_told(account: Account) -> None:
    text = b"pictures,a.png\n"
    manifest = inventory(account, [], "Bucket, Key", files=[{"key": "plain.csv", "MD5checksum": md5(text)}])
    account.s3.put_object(Bucket="reports", Key="plain.csv", Body=text)
    with pytest.raises(OperatorError, match=r"plain\.csv is no gzipped CSV"):
        keys(read(account, manifest))
