"""The table's stream as Lambda delivers it."""

import copy
from typing import Any

import pytest

from handler.errors import UnknownEventError
from handler.index.stream import Change, read_stream
from tests.support.stored_items import Made, item_of, wire_of
from tests.support.stream_records import event_of, record_of

A, B = Made(), Made(etag="e2", labels=[("cat", 0.5)])
TOMBSTONE = Made(status="deleted", etag=None)

# From AWS's page on Lambda and DynamoDB streams, but for the names, the item's attributes, and a shortened vector.
LITERAL: dict[str, Any] = {
    "Records": [
        {
            "eventID": "c4ca4238a0b923820dcc509a6f75849b",
            "eventName": "INSERT",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "us-east-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1428537600,
                "Keys": {"source": {"S": "s3://uploads/a.jpg"}},
                "NewImage": {
                    "source": {"S": "s3://uploads/a.jpg"},
                    "status": {"S": "success"},
                    "etag": {"S": "e1"},
                    "fingerprint": {"S": "f" * 64},
                    "embedding": {"B": "AACAPwAAAEA="},
                    "embedding_dtype": {"S": "float32"},
                    "embedding_dim": {"N": "2"},
                    "normalized": {"BOOL": True},
                    "bytes": {"N": "12345"},
                    "labels": {"L": [{"M": {"label": {"S": "cat"}, "score": {"N": "0.25"}}}]},
                },
                "SequenceNumber": "4421584500000000017450439091",
                "SizeBytes": 26,
                "StreamViewType": "NEW_AND_OLD_IMAGES",
            },
            "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/vectors/stream/2026-06-27T00:48:05.899",
        }
    ]
}


def test_an_inserted_item() -> None:
    (change,) = read_stream(LITERAL)
    assert (change.source, change.old, change.touched) == ("s3://uploads/a.jpg", None, False)
    assert change.new is not None
    assert change.new.embedding == b"\x00\x00\x80?\x00\x00\x00@"  # 1 and 2
    assert (change.new.size, change.new.embedding_dim, change.new.labels) == (12345, 2, (("cat", 0.25),))


@pytest.mark.parametrize(
    ("old", "new"), [(None, A), (A, B), (B, TOMBSTONE), (TOMBSTONE, A), (TOMBSTONE, None), (A, None)]
)
def test_items_are_read_as_they_are_in_the_table(old: Made | None, new: Made | None) -> None:
    record = record_of(wire_of(old), wire_of(new))
    assert record["eventName"] == ("INSERT" if old is None else "REMOVE" if new is None else "MODIFY")
    assert read_stream(event_of([record])) == [Change(A.source, item_of(old), item_of(new))]


def test_a_removal_by_ttl_is_like_any_other() -> None:
    record = record_of(TOMBSTONE.wire(), None, by_ttl=True)
    assert record["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    assert read_stream(event_of([record])) == [Change(A.source, TOMBSTONE.item(), None)]


@pytest.mark.parametrize(
    ("before", "after", "touched"),
    [(None, "1", True), ("1", "2", True), ("1", "1", False), ("1", None, False), (None, None, False)],
)
def test_an_item_is_touched_when_touched_at_is_set(before: str | None, after: str | None, touched: bool) -> None:
    record = record_of(Made(touched_at=before).wire(), Made(touched_at=after).wire())
    (change,) = read_stream(event_of([record]))
    assert change == Change(A.source, A.item(), A.item(), touched=touched)


def test_the_order_of_records_is_kept() -> None:
    records = [record_of(A.wire(), B.wire()), record_of(B.wire(), None), record_of(None, A.wire())]
    assert [change.new for change in read_stream(event_of(records))] == [B.item(), None, A.item()]


def without(name: str) -> dict[str, Any]:
    record: dict[str, Any] = copy.deepcopy(LITERAL["Records"][0])
    del record["dynamodb"][name]
    return record


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (None, "expected the records of a DynamoDB stream"),
        ({"query": {}}, "expected the records of a DynamoDB stream"),
        ({"Records": [{"eventSource": "aws:s3"}]}, "eventSource is not aws:dynamodb"),
        ({"Records": [{}]}, "eventSource"),
        ({"Records": ["x"]}, "eventSource is not aws:dynamodb"),
        ({"Records": [without("Keys")]}, "Keys"),
        ({"Records": [without("StreamViewType")]}, "NEW_AND_OLD_IMAGES"),
    ],
)
def test_anything_else_is_an_error_of_one_line(event: object, message: str) -> None:
    with pytest.raises(UnknownEventError, match=message) as caught:
        read_stream(event)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("embedding", {"B": "no base64"}), ("bytes", {"N": "x"}), ("labels", {"L": [{"M": {}}]})]
)
def test_an_item_that_cannot_be_read_is_an_error(name: str, value: object) -> None:
    event = copy.deepcopy(LITERAL)
    event["Records"][0]["dynamodb"]["NewImage"][name] = value
    with pytest.raises(UnknownEventError, match="a record of the stream cannot be read"):
        read_stream(event)
