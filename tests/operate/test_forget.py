"""`forget`: what goes, what stays, and work on the same key meanwhile."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from handler.results.item import read_item
from handler.results.sequencing import BySequencer, expression_of
from infra.common.errors import OperatorError, UsageError
from infra.operate.search import forget as forgetting
from infra.operate.search.forget import forget
from infra.operate.stack import VECTOR_BUCKET, DeployedStack
from tests.support.indexed_stack import (
    NEW_MODEL,
    OLD_MODEL,
    RESULTS_BUCKET,
    TABLE_NAME,
    UPLOADS_BUCKET,
    Indexing,
    indexed_stack,
)


@pytest.fixture
def indexing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Indexing]:
    monkeypatch.setattr(forgetting, "_POLL_SECONDS", 0.02)
    with indexed_stack(monkeypatch) as made:
        yield made


@contextmanager
def delivering(indexing: Indexing) -> Iterator[None]:
    """Have the indexer follow the table meanwhile."""
    done = threading.Event()

    def follow() -> None:
        while not done.is_set():
            indexing.deliver()
            time.sleep(0.02)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def keys_of(indexing: Indexing, bucket: str) -> list[tuple[str, str]]:
    """All versions and delete markers."""
    answer: Any = indexing.stack.s3.list_object_versions(Bucket=bucket)
    entries = [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]
    return [(entry["Key"], entry["VersionId"]) for entry in entries]


def test_everything_of_the_key_goes_and_nothing_else(indexing: Indexing, capsys: pytest.CaptureFixture[str]) -> None:
    source = indexing.upload("a/cat é+.jpg", seed=1)
    indexing.deliver()
    indexing.upload("a/cat é+.jpg", NEW_MODEL, seed=1)  # both models have it
    indexing.stack.s3.delete_object(Bucket=UPLOADS_BUCKET, Key="a/cat é+.jpg")
    indexing.upload("a/cat é+.jpg", NEW_MODEL, seed=1)
    others = {indexing.upload(key) for key in ("a/cat é+.jpg/b", "a/cat é+.jpg2", "a/cat")}
    indexing.stack.s3.create_multipart_upload(Bucket=UPLOADS_BUCKET, Key="a/cat é+.jpg")
    other_upload = indexing.stack.s3.create_multipart_upload(Bucket=UPLOADS_BUCKET, Key="a/cat é+.jpg3")["UploadId"]
    indexing.deliver()
    results = len(keys_of(indexing, RESULTS_BUCKET))
    with delivering(indexing):
        done = forget(indexing.stack, source, 20)
    assert (done["versions"], done["results"], done["uploads"], len(done["indexes"])) == (4, 2, 1, 2)
    assert {f"s3://{UPLOADS_BUCKET}/{key}" for key, _ in keys_of(indexing, UPLOADS_BUCKET)} == others
    assert len(keys_of(indexing, RESULTS_BUCKET)) == results - 2
    assert indexing.sources(OLD_MODEL) == others
    assert indexing.sources(NEW_MODEL) == set()
    uploads = indexing.stack.s3.list_multipart_uploads(Bucket=UPLOADS_BUCKET)["Uploads"]
    assert [upload["UploadId"] for upload in uploads] == [other_upload]
    wire = indexing.item(source)
    assert wire is not None
    assert set(wire) == {"source", "status", "updated_at", "expires_at"}
    assert read_item(wire).is_tombstone
    days = (int(wire["expires_at"]["N"]) - time.time()) / 86400
    assert 29.9 < days <= 30
    out = capsys.readouterr().out
    assert "Deleted 4 versions of s3://pictures/a/cat é+.jpg, 2 result JSONs, vectors in 2 indexes, 1 uploads" in out
    assert "- logs of the functions" in out


def test_an_event_on_its_way_cannot_replace_the_tombstone(indexing: Indexing) -> None:
    source = indexing.upload("cat.jpg")
    indexing.deliver()
    with delivering(indexing):
        forget(indexing.stack, source, 20)
    condition = expression_of(BySequencer("9" * 32))  # of a worker that read the object before
    item: Any = {"source": {"S": source}, "status": {"S": "success"}, "sequencer": {"S": "9" * 32}}
    with pytest.raises(indexing.stack.dynamodb.exceptions.ConditionalCheckFailedException):
        indexing.stack.dynamodb.put_item(
            TableName=TABLE_NAME,
            Item=item,
            ConditionExpression=condition.text,
            ExpressionAttributeNames=condition.names,
            ExpressionAttributeValues=condition.values,
        )


def test_an_upload_meanwhile_goes_too(indexing: Indexing, monkeypatch: pytest.MonkeyPatch) -> None:
    source = indexing.upload("cat.jpg")
    indexing.deliver()
    original, uploads = forgetting.wait_for_indexes, iter([1, 2])

    def upload_again(*arguments: Any) -> None:
        original(*arguments)
        if (seed := next(uploads, None)) is not None:
            indexing.upload("cat.jpg", seed=seed)

    monkeypatch.setattr(forgetting, "wait_for_indexes", upload_again)
    with delivering(indexing):
        done = forget(indexing.stack, source, 20)
    assert done["versions"] == 3
    assert keys_of(indexing, UPLOADS_BUCKET) == keys_of(indexing, RESULTS_BUCKET) == []
    assert indexing.sources(OLD_MODEL) == set()


def test_a_vector_that_stays_is_an_error(indexing: Indexing) -> None:
    source = indexing.upload("cat.jpg")
    indexing.deliver()
    with pytest.raises(OperatorError, match=r"after 0 s the vector is still in dropvec-0+: check the indexer"):
        forget(indexing.stack, source, 0.1)
    with delivering(indexing):
        assert forget(indexing.stack, source, 20)["versions"] == 0  # run again


def answer_retention(s3: Any, until: Mapping[str, datetime]) -> None:
    """Answer GetObjectRetention, which moto does not know."""

    def answer(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        moment = until.get(params["query_string"]["versionId"])
        if moment is None:
            error = {"Code": "NoSuchObjectLockConfiguration", "Message": "none"}
            return SimpleNamespace(status_code=404), {"Error": error}
        return SimpleNamespace(status_code=200), {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": moment}}

    s3.meta.events.register("before-call.s3.GetObjectRetention", answer)


@pytest.mark.parametrize("protect", ["retention", "hold"])
def test_object_lock_refuses_before_anything_goes(indexing: Indexing, protect: str) -> None:
    s3 = indexing.stack.s3
    s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    first, second = (s3.put_object(Bucket="locked", Key="a.jpg", Body=b"1")["VersionId"] for _ in range(2))
    now = datetime.now(UTC)
    until = {first: now + timedelta(days=1), second: now - timedelta(days=1)} if protect == "retention" else {}
    answer_retention(s3, until)
    if protect == "hold":
        s3.put_object_legal_hold(Bucket="locked", Key="a.jpg", VersionId=first, LegalHold={"Status": "ON"})
    with pytest.raises(OperatorError, match=rf"nothing was deleted: Object Lock protects version {first}.*{protect}"):
        forget(indexing.stack, "s3://locked/a.jpg", 1)
    assert len(keys_of(indexing, "locked")) == 2
    assert indexing.item("s3://locked/a.jpg") is None
    s3.put_object(Bucket="locked", Key="free.jpg", Body=b"3")
    assert forget(indexing.stack, "s3://locked/free.jpg", 1)["versions"] == 1


def test_what_does_not_exist_is_an_error(indexing: Indexing) -> None:
    with pytest.raises(OperatorError, match=r"there is no object, item, JSON or vector of s3://pictures/none\.jpg"):
        forget(indexing.stack, "s3://pictures/none.jpg", 1)
    assert indexing.item("s3://pictures/none.jpg") is None
    for wrong in ("pictures/none.jpg", "s3://pictures", "s3:///a"):
        with pytest.raises(UsageError, match="is not of the form"):
            forget(indexing.stack, wrong, 1)
    with pytest.raises(UsageError, match="give the address of the image"):
        forget(indexing.stack, f"s3://{RESULTS_BUCKET}/a.json", 1)


def test_a_stack_without_search_has_no_index_to_wait_for(indexing: Indexing) -> None:
    source = indexing.upload("cat.jpg")
    known = {name: value for name, value in (indexing.stack.known_outputs or {}).items() if name != VECTOR_BUCKET}
    stack = DeployedStack(indexing.stack.ref, indexing.stack.session, None, known)
    assert forget(stack, source, 1)["indexes"] == []


def test_copies_that_are_out_of_reach_are_named(indexing: Indexing) -> None:
    stack = indexing.stack
    source = indexing.upload("cat.jpg")
    indexing.deliver()
    stack.dynamodb.update_continuous_backups(
        TableName=TABLE_NAME, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    stack.sqs.send_message(QueueUrl=stack.dead_letter_queue_url, MessageBody="{}")
    stack.s3.put_object(Bucket=RESULTS_BUCKET, Key="aws/lambda/x", Body=b"{}")
    stack.s3.create_bucket(Bucket="copies")
    for bucket in ("copies", RESULTS_BUCKET):
        stack.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    rule: Any = {"ID": "r", "Status": "Enabled", "Prefix": "", "Destination": {"Bucket": "arn:aws:s3:::copies"}}
    configuration: Any = {"Role": "arn:aws:iam::123456789012:role/r", "Rules": [rule]}
    stack.s3.put_bucket_replication(Bucket=UPLOADS_BUCKET, ReplicationConfiguration=configuration)
    with delivering(indexing):
        named = forget(stack, source, 20)["not_reached"]
    for part in ("point-in-time recovery", "dead letters", "failure records", "pictures in copies", "logs"):
        assert sum(part in copy for copy in named) == 1, part
