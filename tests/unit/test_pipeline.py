import itertools
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
import pytest

from handler.aws.clients import Clients
from handler.aws.sdk.errors import ServiceError
from handler.embed import embed_image
from handler.images.preprocess import to_tensor
from handler.jobs import Job
from handler.model.encoder import load_encoder
from handler.outcomes import Status
from handler.pipeline import Pipeline
from handler.results.sequencing import normalize_sequencer
from handler.results.store import Store
from handler.settings import read_settings
from handler.timing import Deadline, Stopwatch
from tests.support.loopback_aws import Request, Response, State, ask_moto
from tests.support.memory_aws import MemoryDynamoDB, MemoryObject, MemoryS3
from tests.support.pictures import encoded, picture
from tests.unit.conftest import RESULTS, TABLE, UPLOADS, World, build_world

PHOTO = encoded(picture(64, 48))
OTHER = encoded(picture(48, 80, seed=1))


def test_success_is_one_item_and_one_json(world: World) -> None:
    etag = world.put("shop/red shoe+1.png", PHOTO)
    outcome = world.process("shop/red shoe+1.png", "0055AED6DCD90281E5")
    assert outcome.status is Status.SUCCESS
    assert set(outcome.timings_ms) == {"fetch", "wait", "decode", "preprocess", "embed", "write", "commit", "total"}

    item = world.item("shop/red shoe+1.png")
    fingerprint = world.pipeline.encoder.spec.fingerprint
    key = f"uploads/shop/red shoe+1.png/{etag}-{fingerprint[:8]}.json"
    vector = np.frombuffer(item.pop("embedding"), dtype="<f4")
    assert item.pop("updated_at").endswith("Z")
    encoder = world.pipeline.encoder
    raw = embed_image(encoder, PHOTO, 10**8, Stopwatch()).vector
    assert float(item.pop("norm")) == pytest.approx(float(np.linalg.norm(raw)), rel=1e-6)
    assert item == {
        "source": "s3://uploads/shop/red shoe+1.png",
        "status": "success",
        "sequencer": normalize_sequencer("0055AED6DCD90281E5"),
        "etag": etag,
        "model": "tiny",
        "fingerprint": fingerprint,
        "embedding_dtype": "float32",
        "embedding_dim": "48",
        "normalized": True,
        "width": "64",
        "height": "48",
        "bytes": str(len(PHOTO)),
        "format": "png",
        "result": f"s3://{RESULTS}/{key}",
    }
    assert world.results() == [key]
    assert world.state.operator.s3.head_object(Bucket=RESULTS, Key=key)["ContentType"] == "application/json"
    result = orjson.loads(world.result(key))
    assert np.array_equal(np.array(result["embedding"]["embedding"], dtype=np.float32), vector)
    assert result["embedding"]["embedding_dim"] == 48
    assert result["embedding"]["normalized"] is True
    assert (result["source"], result["file_path"]) == (item["source"], item["source"])
    assert (result["status"], result["error"], result["error_code"]) == ("success", None, None)
    assert (result["etag"], result["version_id"]) == (etag, None)
    assert (result["width"], result["height"], result["format"], result["bytes"]) == (64, 48, "png", len(PHOTO))
    assert result["timings_ms"]["total"] > 0


def test_vector_is_the_model_s_own(world: World, tiny_bundle: Path) -> None:
    world.put("a", PHOTO)
    world.process("a")
    encoder = load_encoder(tiny_bundle)
    raw = encoder.embed(to_tensor(picture(64, 48), encoder.spec.preprocess))
    stored = np.frombuffer(world.item("a")["embedding"], dtype="<f4")
    assert np.allclose(stored, raw / np.linalg.norm(raw), atol=1e-7)


def test_settings_decide_dtype_and_prefix(aws: State, tiny_bundle: Path) -> None:
    world = build_world(tiny_bundle, aws, NORMALIZE="false", EMBEDDING_DTYPE="float16", RESULTS_PREFIX="v1/")
    world.put("a", PHOTO)
    world.process("a")
    item = world.item("a")
    assert (item["normalized"], item["embedding_dtype"], len(item["embedding"])) == (False, "float16", 96)
    assert world.results()[0].startswith("v1/uploads/a/")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_object"),
        (b"just text", "unsupported_format"),
        (PHOTO[:100], "corrupt_image"),
        (encoded(picture(200, 200)), "too_many_pixels"),
        (encoded(picture(64, 48)) + b"\0" * 50_000, "too_many_bytes"),
    ],
)
def test_rejection_is_recorded_and_not_raised(aws: State, tiny_bundle: Path, data: bytes, code: str) -> None:
    world = build_world(tiny_bundle, aws, MAX_IMAGE_PIXELS="10000", MAX_IMAGE_BYTES="40000")
    etag = world.put("a", data)
    outcome = world.process("a")
    assert (outcome.status, outcome.error and outcome.error.code) == (Status.REJECTED, code)
    item = world.item("a")
    assert (item["status"], item["error_code"], item["etag"], item["bytes"]) == ("error", code, etag, str(len(data)))
    assert "embedding" not in item
    result = orjson.loads(world.result(world.results()[0]))
    assert (result["status"], result["error_code"], result["embedding"]) == ("error", code, None)


def test_folder_marker_and_own_results_are_ignored(world: World) -> None:
    world.put("folder/", b"")
    world.put("uploads/a.json", PHOTO, bucket=RESULTS)
    assert world.process("folder/").status is Status.IGNORED
    assert world.process("uploads/a.json", bucket=RESULTS).status is Status.IGNORED
    assert world.item("folder/") == {}
    assert world.results() == ["uploads/a.json"]


def test_folder_marker_that_replaces_an_image_is_recorded(world: World) -> None:
    world.put("folder/", PHOTO)
    assert world.process("folder/", "01").status is Status.SUCCESS
    etag = world.put("folder/", b"")
    assert world.process("folder/", "02").status is Status.REJECTED
    item = world.item("folder/")
    assert (item["status"], item["error_code"], item["etag"]) == ("error", "empty_object", etag)
    world.delete("folder/")
    world.process("folder/", "03")
    world.put("folder/", b"")
    assert world.process("folder/", "04").status is Status.IGNORED


def test_repeat_changes_nothing(world: World) -> None:
    world.put("a", PHOTO)
    world.process("a", "0A")
    before = world.item("a")
    assert world.process("a", "0A0").status is Status.SUCCESS
    assert world.item("a") == before
    assert len(world.results()) == 1


def test_repeat_costs_one_conditional_write(world: World) -> None:
    world.put("a", PHOTO)
    world.process("a", "01")
    with world.state.server.answering(lambda _: None) as calls:
        assert world.process("a", "01").status is Status.SUCCESS
    operations = [call.operation for call in calls if "x-amz-target" in call.headers]
    assert operations.count("PutItem") == 1
    assert set(operations) <= {"PutItem", "GetItem"}


def test_newer_event_wins_and_older_is_superseded(world: World) -> None:
    world.put("a", PHOTO)
    world.process("a", "02")
    etag = world.put("a", OTHER)
    assert world.process("a", "01").status is Status.SUPERSEDED
    assert world.process("a", "03").status is Status.SUCCESS
    assert world.item("a")["etag"] == etag


def test_the_current_object_is_embedded_whatever_the_event_says(world: World) -> None:
    world.put("a", PHOTO)
    etag = world.put("a", OTHER)
    world.process("a", "01")
    assert world.item("a")["etag"] == etag


def test_deletion_writes_a_tombstone_and_deletes_only_its_own_results(world: World) -> None:
    for key in ("a", "a/b"):
        world.put(key, PHOTO)
        world.process(key, "01")
    world.delete("a")
    assert world.process("a", "02").status is Status.DELETED
    item = world.item("a")
    assert (item["status"], item["sequencer"]) == ("deleted", normalize_sequencer("02"))
    assert int(item["expires_at"]) > 0
    assert "embedding" not in item
    assert [key.rsplit("/", 1)[0] for key in world.results()] == ["uploads/a/b"]


def test_late_put_does_not_replace_a_tombstone(world: World) -> None:
    world.put("a", PHOTO)
    world.delete("a")
    world.process("a", "02")
    assert world.process("a", "01").status is Status.SUPERSEDED
    assert world.item("a")["status"] == "deleted"


def test_same_bytes_again_after_deletion(world: World) -> None:
    world.put("a", PHOTO)
    world.process("a", "01")
    world.delete("a")
    world.process("a", "02")
    world.put("a", PHOTO)
    assert world.process("a", "03").status is Status.SUCCESS
    assert world.item("a")["status"] == "success"
    assert len(world.results()) == 1


def test_without_a_sequencer_the_item_keeps_its_own(world: World) -> None:
    world.put("a", PHOTO)
    world.process("a", "05")
    etag = world.put("a", OTHER)
    assert world.process("a", None).status is Status.SUCCESS
    item = world.item("a")
    assert (item["etag"], item["sequencer"]) == (etag, normalize_sequencer("05"))
    assert world.process("a", "04").status is Status.SUPERSEDED


def test_event_after_backfill_adds_its_sequencer(world: World) -> None:
    world.put("a", PHOTO)
    world.process("a", None)
    assert "sequencer" not in world.item("a")
    world.process("a", "05")
    assert world.item("a")["sequencer"] == normalize_sequencer("05")


def test_missing_key_without_item_writes_nothing(world: World) -> None:
    assert world.process("never", None).status is Status.DELETED
    assert world.item("never") == {}


def test_long_key_is_cut_and_found_again(world: World) -> None:
    key = "d/" + "é" * 505 + ".png"
    world.put(key, PHOTO)
    world.put(key[:-5], PHOTO)
    for name in (key, key[:-5]):
        assert world.process(name, "01").status is Status.SUCCESS
    assert len(world.results()) == 2
    assert all(len(result.encode()) <= 1024 for result in world.results())
    assert world.item(key)["result"].removeprefix(f"s3://{RESULTS}/") in world.results()
    world.delete(key)
    world.process(key, "02")
    assert len(world.results()) == 1


def test_error_of_the_table_is_retryable(world: World) -> None:
    world.put("a", PHOTO)
    world.state.operator.dynamodb.delete_table(TableName="vectors")
    outcome = world.process("a")
    assert (outcome.status, outcome.error and outcome.error.retryable) == (Status.FAILED, True)


def test_archived_again_keeps_its_vector(world: World) -> None:
    world.put("a", PHOTO)
    world.process("a", "05")
    before = world.item("a")
    world.state.operator.s3.put_object(Bucket=UPLOADS, Key="a", Body=PHOTO, StorageClass="GLACIER")
    assert world.process("a", None).status is Status.REJECTED
    assert world.item("a") == before
    assert world.process("a", "06").status is Status.REJECTED
    assert world.item("a")["error_code"] == "archived_object"


def test_restored_from_archive(world: World) -> None:
    world.state.operator.s3.put_object(Bucket=UPLOADS, Key="a", Body=PHOTO, StorageClass="GLACIER")
    assert world.process("a", "05").status is Status.REJECTED
    world.state.operator.s3.restore_object(Bucket=UPLOADS, Key="a", RestoreRequest={"Days": 1})
    assert world.process("a", None).status is Status.SUCCESS
    item = world.item("a")
    assert (item["status"], item["sequencer"]) == ("success", normalize_sequencer("05"))
    (key,) = world.results()
    assert orjson.loads(world.result(key))["status"] == "success"


def test_superseded_leaves_no_json_behind(world: World) -> None:
    world.put("a", PHOTO)
    world.process("a", "09")
    before = world.results()
    world.put("a", OTHER)
    assert world.process("a", "05").status is Status.SUPERSEDED
    assert world.results() == before


def test_superseded_leaves_a_json_that_was_there_before(world: World) -> None:
    for sequencer, data in (("07", OTHER), ("09", PHOTO)):
        world.put("a", data)
        world.process("a", sequencer)
    before = world.results()
    assert len(before) == 2
    world.put("a", OTHER)
    assert world.process("a", "05").status is Status.SUPERSEDED
    assert world.results() == before


def test_superseded_writes_the_missing_json_of_the_newer_item(world: World) -> None:
    world.put("a", PHOTO)
    world.process("a", "09")
    before = world.results()
    world.state.operator.s3.delete_object(Bucket=RESULTS, Key=before[0])
    assert world.process("a", "05").status is Status.SUPERSEDED
    assert world.results() == before


def test_a_repeat_that_read_early_does_not_replace_what_was_read_later(world: World) -> None:
    """Event 01 is delivered again and read; then the object is deleted, and work without a sequencer finds that."""
    world.put("a", PHOTO)
    world.process("a", "01")
    left = ["once"]

    def then_emptied(request: Request) -> Response | None:
        if not left or request.operation != "GetObject":
            return None
        left.clear()
        answer = ask_moto(request)
        world.delete("a")
        world.process("a", None)
        return answer

    with world.state.server.answering(then_emptied):
        assert world.process("a", "01").status is Status.DELETED
    assert (world.item("a")["status"], world.results()) == ("deleted", [])


def test_a_foreign_object_under_the_key_of_the_json_is_replaced(world: World) -> None:
    world.put("a", PHOTO)
    world.process("a", "01")
    (key,) = world.results()
    world.put(key, b"", bucket=RESULTS)
    assert world.process("a", "01").status is Status.SUCCESS
    assert orjson.loads(world.result(key))["status"] == "success"


def test_another_limit_does_not_change_a_repeat(aws: State, tiny_bundle: Path) -> None:
    first = build_world(tiny_bundle, aws)
    first.put("a", PHOTO[:300])
    first.process("a", "01")
    before = first.item("a"), first.result(first.results()[0])
    second = build_world(tiny_bundle, aws, MAX_IMAGE_BYTES="10")
    second.process("a", "01")
    assert (second.item("a"), second.result(second.results()[0])) == before


class CountingS3(MemoryS3):
    """Counts the reads of uploads."""

    reads = 0

    def get_object(self, bucket: str, key: str) -> MemoryObject:
        self.reads += bucket == UPLOADS
        return super().get_object(bucket, key)


def memory_pipeline(bundle: Path, s3: MemoryS3, dynamodb: MemoryDynamoDB) -> Pipeline:
    settings = read_settings({"RESULTS_BUCKET": RESULTS, "TABLE_NAME": TABLE})
    clients = Clients(s3=cast("Any", s3), dynamodb=cast("Any", dynamodb))
    return Pipeline(settings, load_encoder(bundle), clients, Store(clients, settings))


def test_an_item_that_changes_in_every_round_fails_the_job_for_now(tiny_bundle: Path) -> None:
    class Changing(MemoryDynamoDB):
        def put_item(self, **_: object) -> dict[str, Any]:
            raise ServiceError("PutItem", 400, "ConditionalCheckFailedException", "", {})

    s3 = CountingS3()
    s3.put(UPLOADS, "a", PHOTO, archived=False)
    outcome = memory_pipeline(tiny_bundle, s3, Changing()).process(Job(UPLOADS, "a", "01"), Deadline(30))
    assert (outcome.status, outcome.error and outcome.error.code) == (Status.FAILED, "unavailable")
    assert str(outcome.error) == "the item of s3://uploads/a changed 4 times meanwhile"
    assert s3.reads == 4


def test_an_event_that_meets_an_item_without_a_sequencer_needs_two_rounds(tiny_bundle: Path) -> None:
    s3, dynamodb = CountingS3(), MemoryDynamoDB()
    pipeline = memory_pipeline(tiny_bundle, s3, dynamodb)
    s3.put(UPLOADS, "a", PHOTO, archived=False)
    assert pipeline.process(Job(UPLOADS, "a", None), Deadline(30)).status is Status.SUCCESS
    assert s3.reads == 1
    s3.put(UPLOADS, "a", OTHER, archived=False)
    assert pipeline.process(Job(UPLOADS, "a", "01"), Deadline(30)).status is Status.SUCCESS
    assert s3.reads == 3
    assert dynamodb.items["s3://uploads/a"]["sequencer"] == {"S": normalize_sequencer("01")}


@pytest.mark.parametrize(("seconds", "status"), [(-1, Status.FAILED), (0, Status.FAILED), (0.5, Status.SUCCESS)])
def test_without_time_left_nothing_is_begun(tiny_bundle: Path, seconds: float, status: Status) -> None:
    s3 = CountingS3()
    s3.put(UPLOADS, "a", PHOTO, archived=False)
    pipeline = memory_pipeline(tiny_bundle, s3, MemoryDynamoDB())
    clock = itertools.repeat(0.0)
    outcome = pipeline.process(Job(UPLOADS, "a", "01"), Deadline(seconds, lambda: next(clock)))
    assert outcome.status is status
    assert s3.reads == (status is Status.SUCCESS)
    if outcome.error is not None:
        assert str(outcome.error) == "no time is left in this invocation"
