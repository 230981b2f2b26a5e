"""The commands `index` and `redrive` on a table with a stream, the real indexer, and the stand-in of S3 Vectors."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from botocore.exceptions import ClientError

from handler.index.names import index_name
from infra.common.errors import OperatorError, UsageError
from infra.operate.function import FunctionModel
from infra.operate.search import drop as dropping
from infra.operate.search import rebuild as rebuilding
from infra.operate.search import status as statuses
from infra.operate.search import verify as verifying
from infra.operate.search.drop import drop
from infra.operate.search.failure_records import record_keys, redrive_records
from infra.operate.search.items import Toucher
from infra.operate.search.rebuild import StartFile, rebuild
from infra.operate.search.status import Models, index_status, status_lines
from infra.operate.search.verify import VerifyOptions, verify
from infra.operate.stack import VECTOR_BUCKET, DeployedStack, StackRef
from tests.support.indexed_stack import (
    DIM,
    NEW_MODEL,
    OLD_MODEL,
    RESULTS_BUCKET,
    TABLE_NAME,
    UPLOADS_BUCKET,
    VECTORS_BUCKET,
    Indexing,
    indexed_stack,
)


@pytest.fixture
def indexing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Indexing]:
    monkeypatch.setattr(rebuilding, "FOLDER", tmp_path / "rebuild")
    monkeypatch.setattr(verifying, "PAUSES_SECONDS", (0.0, 0.0))
    models = Models(FunctionModel("old", OLD_MODEL), FunctionModel("new", NEW_MODEL))
    for module in (statuses, dropping):
        monkeypatch.setattr(module, "fetch_models", lambda _: models)
    with indexed_stack(monkeypatch) as made:
        yield made


def differences(stack: DeployedStack, capsys: pytest.CaptureFixture[str], *, repair: bool = False) -> set[Any]:
    """What `index verify` reports, by kind and key."""
    capsys.readouterr()
    try:
        verify(stack, VerifyOptions(repair=repair, as_json=True))
    except OperatorError as error:
        assert not repair
        assert "index verify --repair" in str(error)
    answer = json.loads(capsys.readouterr().out)
    assert answer["repaired"] is repair
    return {(each["kind"], each["source"].removeprefix(f"s3://{UPLOADS_BUCKET}/")) for each in answer["differences"]}


def test_status(indexing: Indexing, capsys: pytest.CaptureFixture[str]) -> None:
    assert index_status(indexing.stack, quick=False, as_json=False)["indexes"] == []
    assert "There is no index yet" in capsys.readouterr().out
    for number in range(3):
        indexing.upload(f"{number}.jpg")
    indexing.upload("new.jpg", NEW_MODEL)
    indexing.upload("third.jpg", "2" * 64)
    indexing.deliver()
    status = index_status(indexing.stack, quick=False, as_json=True)
    assert capsys.readouterr().out == ""
    assert [
        (index["index"], index["fingerprint"], index["vectors"], index["used_by"], index["dimension"])
        for index in status["indexes"]
    ] == [
        (index_name(OLD_MODEL), OLD_MODEL, 3, ["search"], DIM),
        (index_name(NEW_MODEL), NEW_MODEL, 1, ["uploads"], DIM),
        (index_name("2" * 64), "2" * 32, 1, [], DIM),
    ]
    assert (status["lag_seconds"], status["failure_records"]) == (None, 0)
    text = "\n".join(status_lines(status))
    assert f"{index_name('2' * 64)}: 1 vectors, dimension 6, used by nothing; delete it with" in text
    assert index_status(indexing.stack, quick=True, as_json=True)["indexes"][0]["vectors"] is None


def test_lag_is_cloudwatch_s(indexing: Indexing) -> None:
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    for minutes, milliseconds in ((5, 90_000), (1, 1500)):
        indexing.stack.cloudwatch.put_metric_data(
            Namespace="AWS/Lambda",
            MetricData=[
                {
                    "MetricName": "IteratorAge",
                    "Dimensions": [{"Name": "FunctionName", "Value": "indexer"}],
                    "Timestamp": now - timedelta(minutes=minutes),
                    "Value": milliseconds,
                }
            ],
        )
    assert statuses.lag_seconds(indexing.stack) == pytest.approx(1.5)


def test_rebuild_makes_every_index_again(indexing: Indexing, capsys: pytest.CaptureFixture[str]) -> None:
    old = {indexing.upload(f"{number}.jpg") for number in range(30)}
    new = {indexing.upload(f"new {number}.jpg", NEW_MODEL) for number in range(5)}
    bad, gone = (f"s3://{UPLOADS_BUCKET}/{name}" for name in ("bad.jpg", "gone.jpg"))
    for source, status in ((bad, "error"), (gone, "deleted")):
        indexing.stack.dynamodb.put_item(
            TableName=TABLE_NAME, Item={"source": {"S": source}, "status": {"S": status}, "updated_at": {"S": "x"}}
        )
    indexing.deliver()
    orphan = f"s3://{UPLOADS_BUCKET}/orphan.jpg"
    for source in (bad, gone, orphan):  # writes that landed after the deletes
        indexing.put_vector(source, OLD_MODEL, [1.0] * DIM)
    indexing.stack.s3vectors.delete_index(vectorBucketName=VECTORS_BUCKET, indexName=index_name(NEW_MODEL))
    indexing.remove_vector(min(old), OLD_MODEL)

    assert rebuild(indexing.stack, None, restart=False) == {"touched": 37, "vectors_without_item": 1}
    indexing.deliver()
    assert (indexing.sources(OLD_MODEL), indexing.sources(NEW_MODEL)) == (old, new)
    tombstone = indexing.item(orphan)
    assert tombstone is not None
    assert (tombstone["status"], "expires_at" in tombstone) == ({"S": "deleted"}, True)
    item = indexing.item(bad)
    assert item is not None
    assert (item["updated_at"], "touched_at" in item) == ({"S": "x"}, True)
    assert "Touched 37 items; 1 vectors had no item." in capsys.readouterr().out
    assert rebuild(indexing.stack, None, restart=False)["touched"] == 38  # a new one: the first is complete


def test_an_interrupted_rebuild_is_resumed(
    indexing: Indexing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(40):
        indexing.upload(f"{number}.jpg")
    touched: list[str] = []
    original = Toucher.touch_one

    def until_20(self: Toucher, source: str) -> bool:
        if len(touched) == 20:
            raise KeyboardInterrupt
        touched.append(source)
        return original(self, source)

    monkeypatch.setattr(Toucher, "touch_one", until_20)
    with pytest.raises(KeyboardInterrupt):
        rebuild(indexing.stack, None, restart=False)
    monkeypatch.setattr(Toucher, "touch_one", original)
    assert rebuild(indexing.stack, None, restart=False)["touched"] == 20
    assert "Resuming the rebuild that began at" in capsys.readouterr().out
    assert not StartFile.of(indexing.stack).path.exists()

    StartFile.of(indexing.stack).load_or_begin(restart=False)
    assert rebuild(indexing.stack, None, restart=True)["touched"] == 40


def test_rebuild_keeps_its_rate(indexing: Indexing) -> None:
    import time

    for number in range(32):
        indexing.upload(f"{number}.jpg")
    started = time.monotonic()
    rebuild(indexing.stack, 20.0, restart=False)
    assert time.monotonic() - started >= 0.75  # the first 16 at once, the others 0.8 s later


def test_verify_finds_and_repairs_every_difference(indexing: Indexing, capsys: pytest.CaptureFixture[str]) -> None:
    stack = indexing.stack
    for name in ("right", "missing", "wrong", "late", "stale", "rejected", "tombstone"):
        indexing.upload(f"{name}.jpg")
    indexing.upload("migrated.jpg")
    indexing.deliver()
    indexing.upload("migrated.jpg", NEW_MODEL)  # the same picture under both models is right
    indexing.deliver()
    assert differences(stack, capsys) == set()

    sources = {name: f"s3://{UPLOADS_BUCKET}/{name}.jpg" for name in ("missing", "wrong", "late", "stale")}
    indexing.remove_vector(sources["missing"], OLD_MODEL)
    fields = {"etag": "older", "updated_at": 0}
    indexing.put_vector(sources["late"], OLD_MODEL, [1.0] * DIM, **fields)
    right = stack.s3vectors.get_vectors(
        vectorBucketName=VECTORS_BUCKET,
        indexName=index_name(OLD_MODEL),
        keys=[_key(sources["wrong"])],
        returnMetadata=True,
    )["vectors"][0]
    metadata = {name: value for name, value in right["metadata"].items() if name != "source"}
    indexing.put_vector(sources["wrong"], OLD_MODEL, [1.0] * DIM, **metadata)  # only the numbers differ
    indexing.put_vector(sources["stale"], NEW_MODEL, [1.0] * DIM, **fields)
    for name, status in (("rejected", "error"), ("tombstone", "deleted")):
        stack.s3.delete_object(Bucket=UPLOADS_BUCKET, Key=f"{name}.jpg")
        _set_status(indexing, f"s3://{UPLOADS_BUCKET}/{name}.jpg", status)
    indexing.put_vector(f"s3://{UPLOADS_BUCKET}/orphan.jpg", OLD_MODEL, [1.0] * DIM)
    found = differences(stack, capsys)
    of_index = {
        ("missing_vector", "missing.jpg"),
        ("wrong_vector", "late.jpg"),
        ("wrong_vector", "wrong.jpg"),
        ("stale_vector", "stale.jpg"),
        ("leftover_vector", "rejected.jpg"),
        ("leftover_vector", "tombstone.jpg"),
        ("vector_without_item", "orphan.jpg"),
    }
    assert found == of_index | {("item_without_object", "rejected.jpg")}
    assert differences(stack, capsys, repair=True) == found
    _drain(indexing)
    assert differences(stack, capsys) == {("item_without_object", "rejected.jpg")}


def test_verify_compares_objects_with_items(indexing: Indexing, capsys: pytest.CaptureFixture[str]) -> None:
    stack = indexing.stack
    indexing.upload("right.jpg")
    indexing.upload("overwritten.jpg")
    indexing.upload("removed.jpg")
    indexing.deliver()
    stack.s3.put_object(Bucket=UPLOADS_BUCKET, Key="overwritten.jpg", Body=b"other")
    stack.s3.put_object(Bucket=UPLOADS_BUCKET, Key="new é+.jpg", Body=b"new")
    stack.s3.put_object(Bucket=UPLOADS_BUCKET, Key="folder/", Body=b"")
    stack.s3.delete_object(Bucket=UPLOADS_BUCKET, Key="removed.jpg")
    expected = {
        ("object_without_item", "new é+.jpg"),
        ("item_of_other_object", "overwritten.jpg"),
        ("item_without_object", "removed.jpg"),
    }
    assert differences(stack, capsys) == expected
    assert differences(stack, capsys, repair=True) == expected
    messages = stack.sqs.receive_message(QueueUrl=stack.queue_url, MaxNumberOfMessages=10)["Messages"]
    keys = {json.loads(each["Body"])["Records"][0]["s3"]["object"]["key"] for each in messages}
    assert keys == {"new+%C3%A9%2B.jpg", "overwritten.jpg", "removed.jpg"}


def test_work_under_way_is_no_difference(
    indexing: Indexing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    indexing.upload("slow.jpg")  # not delivered yet
    monkeypatch.setattr("infra.operate.search.verify.time.sleep", lambda _: indexing.deliver())
    assert differences(indexing.stack, capsys) == set()


def test_verify_prints_each_difference(indexing: Indexing, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(5):
        indexing.upload(f"{number}\x1b.jpg")
    with pytest.raises(OperatorError, match="5 differences"):
        verify(indexing.stack, VerifyOptions(limit=3))
    out = capsys.readouterr().out
    assert out.count("missing_vector       s3://") == 3
    assert "… 2 more" in out
    assert "5 x missing_vector: the index of its model has no vector of it" in out
    assert "\x1b" not in out
    indexing.deliver()
    verify(indexing.stack, VerifyOptions())
    assert "Compared 5 objects, 5 items and 5 vectors. They agree." in capsys.readouterr().out


def test_drop_refuses_what_is_in_use(indexing: Indexing, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, fingerprint in enumerate([OLD_MODEL, NEW_MODEL, "2" * 64]):
        indexing.upload(f"{number}.jpg", fingerprint)
    indexing.deliver()
    for fingerprint, use in ((OLD_MODEL, "search"), (NEW_MODEL, "uploads")):
        with pytest.raises(OperatorError, match=f"used by {use}; --force"):
            drop(indexing.stack, fingerprint, force=False)
    with pytest.raises(OperatorError, match="no index of the fingerprint 33333333; there are: 00000000, 11111111"):
        drop(indexing.stack, "33333333", force=False)
    for wrong in ("2222222", "xyzxyzxyz"):
        with pytest.raises(UsageError, match="is not a fingerprint"):
            drop(indexing.stack, wrong, force=False)
    assert drop(indexing.stack, "2" * 8, force=False) == {"dropped": index_name("2" * 64)}
    monkeypatch.setattr(dropping, "fetch_models", lambda _: Models(None, FunctionModel("new", NEW_MODEL)))
    with pytest.raises(OperatorError, match="a function failed, so it may be in use"):
        drop(indexing.stack, OLD_MODEL, force=False)
    drop(indexing.stack, OLD_MODEL, force=True)
    assert [index.name for index in indexing.indexes.find_all()] == [index_name(NEW_MODEL)]


def test_a_stack_without_search() -> None:
    stack = DeployedStack(StackRef(), None, None, {})  # type: ignore[arg-type]
    assert stack.find_resource(VECTOR_BUCKET) is None
    for command in (
        lambda: index_status(stack, quick=True, as_json=False),
        lambda: rebuild(stack, None, restart=False),
        lambda: verify(stack, VerifyOptions()),
        lambda: drop(stack, "0" * 8, force=False),
    ):
        with pytest.raises(OperatorError, match="search_off"):
            command()


@pytest.mark.parametrize("as_text", [True, False])
def test_failure_records_are_touched_and_not_replayed(
    indexing: Indexing, capsys: pytest.CaptureFixture[str], *, as_text: bool
) -> None:
    changed = indexing.upload("changed.jpg", seed=1)
    removed, orphan = (f"s3://{UPLOADS_BUCKET}/{name}.jpg" for name in ("removed", "orphan"))
    indexing.deliver()
    indexing.remove_vector(changed, OLD_MODEL)
    indexing.put_vector(orphan, OLD_MODEL, [1.0] * DIM)
    records = [{"dynamodb": {"Keys": {"source": {"S": source}}}} for source in (changed, removed, changed, orphan)]
    payload: Any = {"Records": records}
    body = {"version": "1.0", "payload": json.dumps(payload) if as_text else payload}
    key = "aws/lambda/a-uuid/2026/11/24/2026-11-24T00.00.00-b-uuid"
    indexing.stack.s3.put_object(Bucket=RESULTS_BUCKET, Key=key, Body=orjson.dumps(body))
    assert redrive_records(indexing.stack) == {"records": 1, "touched": 1}
    indexing.deliver()
    assert indexing.sources(OLD_MODEL) == {changed}
    assert indexing.item(removed) is None
    assert list(record_keys(indexing.stack)) == []
    assert redrive_records(indexing.stack) == {"records": 0, "touched": 0}


def test_what_is_no_failure_record_stays(indexing: Indexing) -> None:
    for number, body in enumerate([b"", b"{}", b'{"payload": {"Records": [{}]}}', b'{"payload": "text"}']):
        indexing.stack.s3.put_object(Bucket=RESULTS_BUCKET, Key=f"aws/lambda/{number}", Body=body)
    with pytest.raises(OperatorError, match="4 objects under aws/lambda/ are no failure records"):
        redrive_records(indexing.stack)
    assert len(list(record_keys(indexing.stack))) == 4


def test_a_dropped_index_has_no_vectors(indexing: Indexing) -> None:
    indexing.upload("a.jpg")
    assert indexing.indexes.holding("s3://pictures/a.jpg", ["dropvec-none"]) == []
    with pytest.raises(ClientError):
        list(indexing.indexes.pages("dropvec-none"))


def _key(source: str) -> str:
    from handler.index.names import vector_key

    return vector_key(source)


def _set_status(indexing: Indexing, source: str, status: str) -> None:
    """Change an item's status past the indexer."""
    indexing.stack.dynamodb.update_item(
        TableName=TABLE_NAME,
        Key={"source": {"S": source}},
        UpdateExpression="SET #status = :status",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":status": {"S": status}},
    )
    indexing.iterator = indexing.streams.get_records(ShardIterator=indexing.iterator)["NextShardIterator"]


def _drain(indexing: Indexing) -> None:
    while indexing.deliver():
        pass
