"""Failed messages of a queue come back soon, and an outage of an hour moves none to the dead-letter queue."""

import json
from typing import Any

import pytest

from handler.errors import RetryableError
from handler.timing import Deadline
from handler.triggers import backoff
from handler.triggers.events import Receipt, Work, read_event
from infra.common.paths import TEMPLATE
from infra.common.template import load
from tests.support.loopback_aws import Request, Response
from tests.support.pictures import encoded, picture
from tests.unit.conftest import UPLOADS, Serve, World

ARN = "arn:aws:sqs:us-east-1:123456789012:uploads"
RECEIVES: int = load(TEMPLATE)["Resources"]["UploadsQueue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"]
SHORTEST_VISIBILITY = min(one["VisibilitySeconds"] for one in load(TEMPLATE)["Mappings"]["ByTimeout"].values())
PHOTO = encoded(picture())
FAILED = RetryableError("throttled")


def record(key: str, receives: int = 1, **fields: Any) -> dict[str, Any]:
    s3 = {"bucket": {"name": UPLOADS}, "object": {"key": key, "sequencer": "01"}}
    event = {"Records": [{"eventSource": "aws:s3", "eventVersion": "2.1", "s3": s3}]}
    return {
        "messageId": key,
        "receiptHandle": f"handle-{key}-{receives}",
        "eventSource": "aws:sqs",
        "eventSourceARN": ARN,
        "attributes": {"ApproximateReceiveCount": str(receives)},
        "body": json.dumps(event),
        **fields,
    }


def receipts(*records: dict[str, Any]) -> list[Receipt | None]:
    work = read_event({"Records": list(records)})
    assert isinstance(work, Work)
    return [message.receipt for message in work.messages]


# The schedule


@pytest.mark.parametrize(
    ("receives", "longest"), [(1, 10), (2, 20), (3, 40), (4, 80), (5, 150), (6, 150), (40, 150), (10**6, 150)]
)
def test_each_pause_is_twice_as_long_up_to_a_limit(receives: int, longest: int) -> None:
    drawn = {backoff.seconds_until_next(receives) for _ in range(300)}
    assert longest * (1 - backoff.JITTER) - 1 <= min(drawn) < max(drawn) <= longest


def test_every_pause_is_shorter_than_the_visibility_timeout() -> None:
    assert backoff.MAX_SECONDS < SHORTEST_VISIBILITY == 180


def test_the_receive_count_bridges_over_more_than_an_hour() -> None:
    shortest = [
        min(backoff.MAX_SECONDS, backoff.FIRST_SECONDS * 2**number) * (1 - backoff.JITTER)
        for number in range(RECEIVES - 1)
    ]
    assert sum(shortest) > 3600 * 1.1


# Receipts


def test_a_message_of_a_standard_queue_has_a_receipt() -> None:
    assert receipts(record("a", 3)) == [Receipt(ARN, "handle-a-3", 3)]


@pytest.mark.parametrize(
    "fields",
    [
        {"eventSourceARN": f"{ARN}.fifo", "attributes": {"MessageGroupId": "1", "ApproximateReceiveCount": "1"}},
        {"eventSourceARN": None},
        {"eventSourceARN": "uploads"},
        {"receiptHandle": ""},
        {"receiptHandle": 7},
    ],
)
def test_a_record_that_is_incomplete_or_of_a_fifo_queue_has_none(fields: dict[str, Any]) -> None:
    assert receipts(record("a", **fields)) == [None]


@pytest.mark.parametrize(
    "attributes", [None, {}, {"ApproximateReceiveCount": "many"}, {"ApproximateReceiveCount": "0"}]
)
def test_a_receive_count_that_is_missing_counts_as_one(attributes: object) -> None:
    assert receipts(record("a", attributes=attributes)) == [Receipt(ARN, "handle-a-1", 1)]


# The call


def unavailable(request: Request) -> Response | None:
    if request.operation == "ChangeMessageVisibility":
        return Response(200, body=b"{}")
    return Response(503, body=b"<Error><Code>SlowDown</Code></Error>") if request.operation == "GetObject" else None


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handler.aws.retries.time.sleep", lambda _: None)


@pytest.mark.usefixtures("no_pauses")
def test_only_failed_messages_come_back_sooner(world: World, serve: Serve) -> None:
    world.put("good", PHOTO)

    def fail_bad_ones(request: Request) -> Response | None:
        is_good = request.operation == "GetObject" and "good" in request.target
        return None if is_good else unavailable(request)

    event = {"Records": [record("bad"), record("good"), record("worse", 4)]}
    with world.state.server.answering(fail_bad_ones) as requests:
        answer = serve(event, None, world.pipeline)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}, {"itemIdentifier": "worse"}]}
    bad, worse = (json.loads(one.body) for one in requests if one.operation == "ChangeMessageVisibility")
    assert bad["QueueUrl"].endswith("/123456789012/uploads")
    assert (bad["ReceiptHandle"], worse["ReceiptHandle"]) == ("handle-bad-1", "handle-worse-4")
    assert 8 <= bad["VisibilityTimeout"] <= 10
    assert 64 <= worse["VisibilityTimeout"] <= 80


def test_without_a_failure_the_queue_is_not_called(world: World, serve: Serve) -> None:
    world.put("good", PHOTO)
    with world.state.server.answering(lambda _: None) as requests:
        assert serve({"Records": [record("good")]}, None, world.pipeline) == {"batchItemFailures": []}
    assert "ChangeMessageVisibility" not in {one.operation for one in requests}


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    ("response", "text"),
    [
        (
            Response(400, body=b'{"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "gone"}'),
            "QueueDoesNotExist",
        ),
        (Response(403, body=b'{"__type": "AccessDeniedException", "message": "denied"}'), "AccessDenied"),
        (Response(500, body=b"<html>"), "500"),
    ],
)
def test_an_error_of_the_queue_is_logged_and_the_answer_stays(
    world: World, serve: Serve, capsys: pytest.CaptureFixture[str], response: Response, text: str
) -> None:
    def respond(request: Request) -> Response | None:
        return response if request.operation == "ChangeMessageVisibility" else unavailable(request)

    with world.state.server.answering(respond):
        answer = serve({"Records": [record("bad"), record("worse")]}, None, world.pipeline)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}, {"itemIdentifier": "worse"}]}
    warnings = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "WARNING" in line]
    assert len(warnings) == 1
    assert text in warnings[0]["message"]


def test_with_too_little_time_the_queue_is_not_called(world: World) -> None:
    with world.state.server.answering(unavailable) as requests:
        backoff.deliver_soon(world.pipeline.clients, [(Receipt(ARN, "handle", 1), FAILED)], Deadline(4.9))
        assert requests == []
        backoff.deliver_soon(world.pipeline.clients, [(Receipt(ARN, "handle", 1), FAILED)], Deadline(6))
        assert len(requests) == 1


def test_messages_of_several_queues_come_back(world: World) -> None:
    failed = [(Receipt(ARN, "1", 1), FAILED), (Receipt(ARN.replace("uploads", "others"), "2", 1), FAILED)]
    with world.state.server.answering(unavailable) as requests:
        backoff.deliver_soon(world.pipeline.clients, failed, Deadline(30))
    bodies = [json.loads(one.body) for one in requests]
    assert [one["QueueUrl"].rpartition("/")[2] for one in bodies] == ["uploads", "others"]


def test_a_message_that_cannot_be_read_becomes_a_dead_letter_soon(world: World, serve: Serve) -> None:
    with world.state.server.answering(unavailable) as requests:
        answer = serve({"Records": [record("a", receives=9, body="no JSON")]}, None, world.pipeline)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "a"}]}
    assert [json.loads(one.body)["VisibilityTimeout"] for one in requests] == [1]
    assert RECEIVES * backoff.UNREADABLE_SECONDS < 120
