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
