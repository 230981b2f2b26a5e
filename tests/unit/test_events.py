import json
import re
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.jobs import Job
from handler.triggers.events import Direct, Message, Trigger, Work, read_event


def s3_record(key: str = "a.jpg", *, bucket: str = "uploads", version: str = "2.1", **thing: Any) -> dict[str, Any]:
    return {
        "eventVersion": version,
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/"), "sequencer": "0A", **thing}},
    }


def in_sqs(*bodies: object) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "eventSource": "aws:sqs",
                "body": body if isinstance(body, str) else json.dumps(body),
            }
            for number, body in enumerate(bodies)
        ]
    }


TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"}


def test_notification_with_two_buckets() -> None:
    work = read_event({"Records": [s3_record("a"), s3_record("b", bucket="other", version="2.6")]})
    assert work == Work(Trigger.S3, (Message("", (Job("uploads", "a", "0A"), Job("other", "b", "0A"))),))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_key_comes_out_as_it_went_in(key: str) -> None:
    work = read_event({"Records": [s3_record(key)]})
    assert isinstance(work, Work)
    assert work.messages[0].jobs[0].key == key


def test_plus_is_a_space_and_percent_2b_a_plus() -> None:
    record = s3_record()
    record["s3"]["object"]["key"] = "my+photo%2B1.jpg"
    work = read_event({"Records": [record]})
    assert isinstance(work, Work)
    assert work.messages[0].jobs[0].key == "my photo+1.jpg"


def test_queue_of_notifications_keeps_messages_apart() -> None:
    work = read_event(
        in_sqs({"Records": [s3_record("a"), s3_record("b")]}, TEST_EVENT, "not json", {"Records": [s3_record("c")]})
    )
    assert isinstance(work, Work)
    assert work.trigger is Trigger.SQS
    assert [[job.key for job in message.jobs] for message in work.messages] == [["a", "b"], [], [], ["c"]]
    assert [message.error is None for message in work.messages] == [True, True, False, True]


def test_test_event_is_no_work() -> None:
    assert read_event(TEST_EVENT) == Work(Trigger.S3, (Message("", ()),))


def test_delete_without_size_and_tag() -> None:
    record = s3_record("gone")
    del record["s3"]["object"]["sequencer"]
    work = read_event({"Records": [record]})
    assert isinstance(work, Work)
    assert work.messages[0].jobs == (Job("uploads", "gone", None),)


@pytest.mark.parametrize(
    "body", [{"input_paths": ["s3://b/k"]}, {"images": 1, "hello": "world"}, {"texts": []}, {"check": False}]
)
def test_a_field_of_a_request_makes_a_direct_request(body: object) -> None:
    assert read_event(body) == Direct(body)


@pytest.mark.parametrize(
    "event",
    [
        {"Records": [{"eventSource": "aws:kinesis"}]},
        {"Records": [s3_record(version="3.0")]},
        {"Records": [{**s3_record(), "s3": {}}]},
        {"Records": [{**s3_record(), "s3": {"bucket": {"name": "b"}, "object": {"key": "%ff"}}}]},
        {"Records": ["x"]},
        {"Records": "x"},
        {"detail-type": "EC2 Instance State-change Notification", "source": "aws.ec2"},
        {"invocationSchemaVersion": "1.0", "tasks": [{"taskId": "t"}]},
        {"Records": "x", "input_paths": ["s3://b/k"]},
        {"Records": [s3_record(sequencer="0X0A")]},
        {"Records": [s3_record(sequencer=10)]},
        {"Records": []},
        {"detail-type": "Object Created", "source": "aws.s3"},
        {"detail-type": "Object Created", "source": "aws.s3", "input_paths": ["s3://b/k"]},
        {"bucket": {"name": "b"}, "object": {}},
        {"bucket": {"name": "b"}, "object": "k"},
        {"hello": "world"},
        {"normalize": True},
        {},
        [],
        ["x"],
        "text",
        3,
        None,
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_why(event: object) -> None:
    work = read_event(event)
    assert isinstance(work, Work)
    (message,) = work.messages
    assert message.jobs == ()
    assert re.match("unsupported event: |unsupported version of |malformed ", str(message.error))


def test_an_unreadable_record_does_not_affect_the_others() -> None:
    work = read_event({"Records": [s3_record("a"), {"eventSource": "aws:kinesis"}, s3_record("b")]})
    assert isinstance(work, Work)
    (message,) = work.messages
    assert [job.key for job in message.jobs] == ["a", "b"]
    assert message.error is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["Records", "eventSource", "s3", "bucket", "object", "key", "name", "body", "Event", "eventVersion"]
            ),
            inner | st.sampled_from(["aws:s3", "aws:sqs", "2.1", "s3:TestEvent"]),
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_read_event_never_raises(event: object) -> None:
    work = read_event(event)
    assert isinstance(work, Work | Direct)


def nested(times: int) -> Any:
    event: Any = {"Records": [s3_record("a")]}
    for _ in range(times):
        event = {"requestContext": {}, "requestPayload": event}
    return event


def test_envelopes_are_opened_as_deep_as_aws_nests_them() -> None:
    works = [read_event(nested(times)) for times in (0, 5, 6)]
    assert [isinstance(work, Work) and [job.key for job in work.messages[0].jobs] for work in works] == [
        ["a"],
        ["a"],
        [],
    ]
    deepest = works[-1]
    assert isinstance(deepest, Work)
    assert str(deepest.messages[0].error).startswith("unsupported event: ")


@pytest.mark.parametrize(
    ("value", "kept"),
    [("r-1", "r-1"), ("x" * 128, "x" * 128), ("x" * 129, None), ("", None), ("a\nb", None), (7, None), (None, None)],
)
def test_an_id_is_kept_if_it_is_safe_to_log(value: object, kept: str | None) -> None:
    work = read_event({"Records": [s3_record() | {"responseElements": {"x-amz-request-id": value}}]})
    assert isinstance(work, Work)
    assert work.messages[0].jobs[0].event_id == kept
    assert work.messages[0].error is None


@pytest.mark.parametrize("detail", [{"request-id": "r-1"}, {}])
def test_the_id_of_a_change_is_the_request_s_else_the_event_s(detail: dict[str, Any]) -> None:
    event = {"id": "e-1", "source": "aws.s3", "detail-type": "Object Created"}
    event["detail"] = {"bucket": {"name": "b"}, "object": {"key": "k"}, **detail}  # type: ignore[assignment]
    work = read_event(event)
    assert isinstance(work, Work)
    assert work.messages[0].jobs[0].event_id == detail.get("request-id", "e-1")
    queued = read_event(in_sqs({"Records": [s3_record()]}))
    assert isinstance(queued, Work)
    assert queued.messages[0].jobs[0].event_id == "m0"


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"Records": [{"eventSource": "aws:kinesis"}]}, "a record of aws:kinesis"),
        ({"Records": [{"eventSource": "x" * 99}]}, f"a record of {'x' * 80}"),
        ({"Records": [{"eventSource": "a\nb"}]}, "an object with ['eventSource']"),
        ({"Records": [{"EventSource": "aws:ses"}]}, "a record of aws:ses"),
        ({"detail-type": "Tick", "source": "aws.events"}, "an event 'Tick' of 'aws.events'"),
        ({"detail-type": "Object Created", "source": "aws.s3", "detail": 3}, "an event 'Object Created' of 'aws.s3'"),
        ("x" * 99, "'" + "x" * 79),
        ([["x"]], "list"),
        ({f"{'x' * 30}{n}": 1 for n in range(9)}, f"an object with {['x' * 20] * 8}"),
    ],
)
def test_an_unknown_event_is_named(event: object, error: str) -> None:
    work = read_event(event)
    assert isinstance(work, Work)
    assert str(work.messages[0].error).split(";")[0] == f"unsupported event: {error}"
    assert "direct requests with input_paths" in str(work.messages[0].error)


@pytest.mark.parametrize("version", ["1.0", "2.0", "2.7", "3.0"])
def test_versions_of_batch_operations(version: str) -> None:
    task = {"taskId": "t", "s3BucketArn": "arn:aws:s3:::b", "s3Key": "k+1"}
    event = {"invocationSchemaVersion": version, "invocationId": "i", "tasks": [task, 3]}
    work = read_event(event)
    assert isinstance(work, Work)
    assert (work.trigger, work.invocation_id, work.schema_version) == (Trigger.S3_BATCH, "i", version)
    first, second = work.messages
    assert first.jobs == (() if version == "3.0" else (Job("b", "k 1", None),))
    assert [str(message.error)[:15] for message in (second,)] == ["malformed task "]
    assert [message.id for message in work.messages] == ["t", ""]
    assert read_event({"invocationSchemaVersion": "1.0"}) == Work(Trigger.S3_BATCH, (), "", "1.0")
