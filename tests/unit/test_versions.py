"""Versions and delete markers: the item follows what a plain GET of the key gives."""

from typing import Any

import pytest

from handler.outcomes import Status
from tests.support.pictures import encoded, picture
from tests.unit.conftest import RESULTS, UPLOADS, World

PHOTO = encoded(picture(64, 48))
OTHER = encoded(picture(48, 80, seed=1))


@pytest.fixture
def versioned(world: World) -> World:
    """The same, with an uploads bucket that keeps every version."""
    world.state.operator.s3.put_bucket_versioning(Bucket=UPLOADS, VersioningConfiguration={"Status": "Enabled"})
    return world


def versions(world: World, kind: str) -> list[str]:
    """Version ids of the one key there is, newest first."""
    listing: Any = world.state.operator.s3.list_object_versions(Bucket=UPLOADS)
    return [version["VersionId"] for version in listing.get(kind, [])]


def test_deleting_the_newest_version_brings_the_one_below(versioned: World) -> None:
    etag = versioned.put("a", PHOTO)
    versioned.process("a", "01")
    versioned.put("a", OTHER)
    versioned.process("a", "02")
    newest, below = versions(versioned, "Versions")
    assert versioned.item("a")["version_id"] == newest
    versioned.state.operator.s3.delete_object(Bucket=UPLOADS, Key="a", VersionId=newest)
    assert versioned.process("a", "03").status is Status.SUCCESS
    item = versioned.item("a")
    assert (item["etag"], item["version_id"]) == (etag, below)
    assert item["result"] == f"s3://{RESULTS}/uploads/a/{below}-{item['fingerprint'][:8]}.json"


def test_deleting_an_older_version_changes_nothing_but_the_sequencer(versioned: World) -> None:
    for data in (PHOTO, OTHER):
        versioned.put("a", data)
    versioned.process("a", "02")
    before = versioned.item("a")
    _, older = versions(versioned, "Versions")
    versioned.state.operator.s3.delete_object(Bucket=UPLOADS, Key="a", VersionId=older)
    assert versioned.process("a", "03").status is Status.SUCCESS
    changing = ("sequencer", "updated_at")
    after = versioned.item("a")
    assert [before.pop(name) < after.pop(name) for name in changing] == [True, True]
    assert after == before


def test_removing_a_delete_marker_brings_the_picture_back(versioned: World) -> None:
    etag = versioned.put("a", PHOTO)
    versioned.process("a", "01")
    versioned.delete("a")
    assert versioned.process("a", "02").status is Status.DELETED
    assert (versioned.item("a")["status"], versioned.results()) == ("deleted", [])
    (marker,) = versions(versioned, "DeleteMarkers")
    versioned.state.operator.s3.delete_object(Bucket=UPLOADS, Key="a", VersionId=marker)
    assert versioned.process("a", "03").status is Status.SUCCESS
    assert versioned.item("a")["etag"] == etag
    assert len(versioned.results()) == 1
