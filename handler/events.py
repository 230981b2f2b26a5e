"""Any event dict -> the work in it. The only place that knows event shapes and decodes keys.

An event says that a key changed, not what it holds: a job is a bucket, a key and, where the event carries one, the
sequencer that orders it. Sources of the shapes:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_plus

from handler.errors import UnknownEventError

TAKEN = "an S3 notification (version 2.x), the same inside SQS, or a direct request with input_paths or images"


class Trigger(StrEnum):
    """Who sends the event, and so how it is answered."""

    S3 = "s3"
    SQS = "sqs"


@dataclass(frozen=True, slots=True)
class Job:
    """One key to look at.

    Attributes:
        bucket: its name.
        key: as it is, decoded.
        sequencer: as the event has it; None when it has none.
    """

    bucket: str
    key: str
    sequencer: str | None


@dataclass(frozen=True, slots=True)
class Message:
    """The smallest part of an event that its sender can send again by itself.

    Attributes:
        id: the sender's name for it; empty where only the whole event can be sent again.
        jobs: the work in it; none for a test event.
        error: why it could not be read.
    """

    id: str
    jobs: tuple[Job, ...]
    error: UnknownEventError | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """An event of a trigger."""

    trigger: Trigger
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Direct:
    """An event without a trigger's marks: a direct request, still to be validated."""

    body: object


def read_event(event: object) -> Work | Direct:
    """Tell an event by its shape.

    Raises:
        UnknownEventError: it is a trigger's, but of none that dropvec takes.
    """
    if not isinstance(event, Mapping):
        return Direct(event)
    records = event.get("Records")
    if isinstance(records, list):
        if records and all(_source(record) == "aws:sqs" for record in records):
            return Work(Trigger.SQS, tuple(_sqs_message(record) for record in records))
        return Work(Trigger.S3, (Message("", _s3_jobs(event)),))
    if _is_test(event):
        return Work(Trigger.S3, (Message("", ()),))
    if "detail-type" in event or "Records" in event:
        raise UnknownEventError(f"got {_name(event)}; dropvec takes {TAKEN}")
    return Direct(event)


def _sqs_message(record: Mapping[str, Any]) -> Message:
    name = str(record.get("messageId", ""))
    try:
        return Message(name, _jobs_of_text(record.get("body")))
    except UnknownEventError as error:
        return Message(name, (), error)


def _jobs_of_text(text: object) -> tuple[Job, ...]:
    try:
        body = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        body = None
    if not isinstance(body, Mapping):
        raise UnknownEventError(f"the message's body is not a JSON object: {str(text)[:80]!r}")
    return _s3_jobs(body)


def _s3_jobs(event: Mapping[str, Any]) -> tuple[Job, ...]:
    if _is_test(event):
        return ()
    records = event.get("Records")
    if not isinstance(records, list):
        raise UnknownEventError(f"got {_name(event)}; dropvec takes {TAKEN}")
    return tuple(_s3_job(record) for record in records)


def _s3_job(record: Mapping[str, Any]) -> Job:
    if _source(record) != "aws:s3":
        raise UnknownEventError(f"got a record of {_source(record) or 'no source'}; dropvec takes {TAKEN}")
    version = str(record.get("eventVersion", ""))
    if version.partition(".")[0] != "2":
        raise UnknownEventError(f"got an S3 notification of version {version or 'none'}; dropvec takes 2.x")
    try:
        entity = record["s3"]
        name, thing = entity["bucket"]["name"], entity["object"]
        return Job(
            _text(name),
            unquote_plus(_text(thing["key"]), errors="strict"),
            _optional_text(thing, "sequencer"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnknownEventError(f"got an S3 record without a readable bucket and key ({error!r})") from None


def _text(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError(value)


def _optional_text(holder: Mapping[str, Any], name: str) -> str | None:
    value = holder.get(name)
    return _text(value) if value else None


def _source(record: object) -> str:
    return str(record.get("eventSource", "")) if isinstance(record, Mapping) else ""


def _is_test(event: Mapping[str, Any]) -> bool:
    return event.get("Event") == "s3:TestEvent"


def _name(event: Mapping[str, Any]) -> str:
    kind = event.get("detail-type")
    return f"an event {kind!r} of {event.get('source')!r}" if kind else f"an object with {sorted(event)[:8]}"
