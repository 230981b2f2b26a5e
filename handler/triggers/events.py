"""Any event -> the jobs in it. The only module that knows event shapes and decodes keys.

An event says that a key changed, not what it holds: a job is a bucket, a key and, where the event carries one, the
sequencer that orders it. Keys are URL-encoded in S3 notifications and S3 Batch Operations (`+` is a space) and raw in
EventBridge events. Sources of the shapes:

- https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html
- https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html and with-sns.html
- https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_plus

from handler.errors import UnknownEventError
from handler.frozen import frozen
from handler.jobs import Job

EXPECTED = (
    "S3 notifications (version 2.x), EventBridge events of S3 or their detail, both also inside SQS or SNS, S3 Batch "
    "Operations (1.0, 2.0), or direct requests with input_paths, images, texts or check"
)

# Any of these makes an event a direct request.
_REQUEST_FIELDS = frozenset({"input_paths", "images", "texts", "check"})

# The deepest event that AWS makes is one of SNS that Lambda sent to a dead-letter queue and that was moved back: body,
# Lambda's envelope, SNS event, its record, message, notification, record.
_MAX_DEPTH = 6

_HEX = frozenset("0123456789abcdefABCDEF")

# S3's own ids have 16 characters, a message's 36, a task's not many more.
_MAX_ID = 128


class Trigger(StrEnum):
    """The sender of an event; it decides how the event is answered."""

    S3 = "s3"
    EVENTBRIDGE = "eventbridge"
    SNS = "sns"
    SQS = "sqs"
    S3_BATCH = "s3_batch"


@frozen
class Receipt:
    """What SQS needs to deliver a message again sooner.

    Attributes:
        queue_arn: ARN of its queue.
        handle: of the latest receive.
        receives: how often it was received.
    """

    queue_arn: str
    handle: str
    receives: int


@frozen
class Message:
    """The smallest part of an event that its sender can deliver again by itself.

    Attributes:
        id: the sender's id; empty where only the whole event can be delivered again.
        jobs: none for a test event.
        error: why all of it, or a part, could not be read.
        group: messages of one group stay in order; only of FIFO queues (elsewhere a group is a tenant, without order).
        receipt: only of SQS's standard queues.
    """

    id: str
    jobs: tuple[Job, ...]
    error: UnknownEventError | None = None
    group: str | None = None
    receipt: Receipt | None = None


@frozen
class Work:
    """An event of a trigger.

    Attributes:
        trigger: who sent it.
        messages: in their order.
        invocation_id: of S3 Batch Operations; part of the answer.
        schema_version: of S3 Batch Operations; part of the answer.
    """

    trigger: Trigger
    messages: tuple[Message, ...]
    invocation_id: str = ""
    schema_version: str = ""


@frozen
class Direct:
    """A direct request, not validated yet."""

    body: object


def read_event(event: object) -> Work | Direct:
    """Recognise an event by its shape; what cannot be read is an error in its message.

    An unknown shape is never a direct request: an asynchronous sender takes every answer for success, so it must be
    raised. A bare list is a batch that an EventBridge Pipe passes on.
    """
    if isinstance(event, list):
        event = {"Records": event}
    fields: Mapping[str, Any] = event if isinstance(event, Mapping) else {}
    records = _records(fields)
    if "invocationSchemaVersion" in fields:
        return _batch_work(fields)
    if records and all(_source(record) == "aws:sqs" for record in records):
        return Work(Trigger.SQS, tuple(_sqs_message(record) for record in records))
    if "detail-type" in fields or _is_detail(fields):
        return Work(Trigger.EVENTBRIDGE, (_message("", [event]),))
    if "Records" not in fields and not _REQUEST_FIELDS.isdisjoint(fields):
        return Direct(event)
    sns = any(_source(record) == "aws:sns" for record in records)
    return Work(Trigger.SNS if sns else Trigger.S3, (_message("", [event]),))


def _sqs_message(record: Mapping[str, Any]) -> Message:
    attributes = record.get("attributes")
    is_fifo = str(record.get("eventSourceARN", "")).endswith(".fifo")
    group = attributes.get("MessageGroupId") if is_fifo and isinstance(attributes, Mapping) else None
    receipt = None if is_fifo else _receipt(record, attributes)
    return _message(str(record.get("messageId", "")), [record.get("body")], group, receipt)


def _receipt(record: Mapping[str, Any], attributes: object) -> Receipt | None:
    """A message's receipt; None if the record is incomplete."""
    arn, handle = record.get("eventSourceARN"), record.get("receiptHandle")
    received = attributes.get("ApproximateReceiveCount") if isinstance(attributes, Mapping) else None
    if not isinstance(arn, str) or arn.count(":") != 5 or not isinstance(handle, str) or not handle:
        return None
    count = int(received) if isinstance(received, str) and received.isascii() and received.isdigit() else 1
    return Receipt(arn, handle, max(1, count))


def _batch_work(event: Mapping[str, Any]) -> Work:
    tasks = event.get("tasks")
    version = str(event["invocationSchemaVersion"])
    return Work(
        Trigger.S3_BATCH,
        tuple(_batch_message(task, version) for task in (tasks if isinstance(tasks, list) else [])),
        invocation_id=str(event.get("invocationId", "")),
        schema_version=version,
    )


def _batch_message(task: object, version: str) -> Message:
    fields = task if isinstance(task, Mapping) else {}
    name = str(fields.get("taskId", ""))
    try:
        bucket = _text(fields.get("s3Bucket") or str(fields.get("s3BucketArn", "")).rpartition(":")[2])
        if version.partition(".")[0] not in {"1", "2"}:
            raise ValueError(version)  # noqa: TRY301 - reported like the task's other errors
        return Message(name, (Job(bucket, _decoded(fields.get("s3Key")), None, _id(name)),))
    except ValueError as error:
        return Message(name, (), UnknownEventError(f"malformed task ({_why(error)})"))


def _message(name: str, parts: Iterable[object], group: str | None = None, receipt: Receipt | None = None) -> Message:
    """Read every part; a part that cannot be read never affects the others."""
    jobs: list[Job] = []
    first_error: UnknownEventError | None = None
    for depth, part in _leaves(parts, 0):
        try:
            jobs += _jobs(part, depth)
        except UnknownEventError as error:
            first_error = first_error or error
    named = tuple(job if job.event_id else replace(job, event_id=_id(name)) for job in jobs)
    return Message(name, named, first_error, group, receipt)


def _leaves(parts: Iterable[object], depth: int) -> Iterable[tuple[int, object]]:
    """Open envelopes: JSON text, lists of records, SNS notifications."""
    for part in parts:
        inner = _opened(part)
        if inner is None or depth > _MAX_DEPTH:
            yield depth, part
        else:
            yield from _leaves(inner, depth + 1)


def _opened(part: object) -> list[object] | None:
    if isinstance(part, str):
        try:
            body = json.loads(part)
        except (ValueError, RecursionError):
            return None
        return [body] if isinstance(body, Mapping) else None
    return _inside(part) if isinstance(part, Mapping) else None


def _inside(part: Mapping[str, Any]) -> list[object] | None:
    if "Records" in part:
        return _records(part) or None
    if isinstance(part.get("requestContext"), Mapping) and "requestPayload" in part:
        return [part["requestPayload"]]  # an event that Lambda sent to a dead-letter queue
    notification = part.get("Sns", part)  # bare in a queue, in a record's `Sns` in a function's event
    if isinstance(notification, Mapping) and isinstance(notification.get("Message"), str):
        return [notification["Message"]]
    return None


def _jobs(part: object, depth: int) -> list[Job]:
    if not isinstance(part, Mapping) or depth > _MAX_DEPTH:
        raise _unsupported(_shown(part))
    if _is_test(part):
        return []
    if "detail-type" in part:
        return [_eventbridge_job(part)]
    if _is_detail(part):
        return [_detail_job(part)]
    if _source(part) == "aws:s3":
        return [_s3_job(part)]
    raise _unsupported(_name(part))


def _unsupported(shown: str) -> UnknownEventError:
    return UnknownEventError(f"unsupported event: {shown}; expected {EXPECTED}")


def _s3_job(record: Mapping[str, Any]) -> Job:
    version = record.get("eventVersion")
    if not isinstance(version, str) or version.partition(".")[0] != "2":
        raise UnknownEventError(f"unsupported version of an S3 notification: {_shown(version)}; expected 2.x")
    try:
        entity = record["s3"]
        item = entity["object"]
        sequencer, event_id = _sequencer(item.get("sequencer")), _request_id(record.get("responseElements"))
        return Job(_text(entity["bucket"]["name"]), _decoded(item["key"]), sequencer, event_id)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnknownEventError(f"malformed S3 record ({_why(error)})") from None


def _eventbridge_job(event: Mapping[str, Any]) -> Job:
    detail = event.get("detail")
    if event.get("source") != "aws.s3" or not isinstance(detail, Mapping):
        raise _unsupported(_name(event))
    job = _detail_job(detail)
    return job if job.event_id else replace(job, event_id=_id(event.get("id")))


def _detail_job(detail: Mapping[str, Any]) -> Job:
    """The job of an EventBridge event's detail, also where a rule's `InputPath` passes nothing else."""
    try:
        item = detail["object"]
        bucket, key = _text(detail["bucket"]["name"]), _text(item["key"])
        return Job(bucket, key, _sequencer(item.get("sequencer")), _request_id(detail))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnknownEventError(f"malformed detail of an EventBridge event ({_why(error)})") from None


def _decoded(key: object) -> str:
    return _text(unquote_plus(_text(key), errors="strict"))


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(_shown(value))
    value.encode()  # half a surrogate pair is valid JSON, but not valid Unicode
    return value


def _sequencer(value: object) -> str | None:
    if not value:
        return None
    sequencer = _text(value)
    if not _HEX.issuperset(sequencer):  # it would be newer than every later event of its key
        raise ValueError(_shown(value))
    return sequencer


def _request_id(fields: object) -> str | None:
    """S3's id of the request that changed the key; S3 returned it to that request's sender, too."""
    if not isinstance(fields, Mapping):
        return None
    return _id(fields.get("x-amz-request-id") or fields.get("request-id"))


def _id(value: object) -> str | None:
    """An id that is safe to store and log; any other id is ignored, the event is not."""
    return value if isinstance(value, str) and 0 < len(value) <= _MAX_ID and value.isprintable() else None


def _records(event: Mapping[str, Any]) -> list[Any]:
    records = event.get("Records")
    return records if isinstance(records, list) else []


def _source(record: object) -> str:
    if not isinstance(record, Mapping):
        return ""
    source = record.get("eventSource") or record.get("EventSource")  # SNS writes a capital
    return source if isinstance(source, str) and source.isprintable() else ""


def _is_test(event: Mapping[str, Any]) -> bool:
    return event.get("Event") == "s3:TestEvent"


def _is_detail(event: Mapping[str, Any]) -> bool:
    return isinstance(event.get("bucket"), Mapping) and isinstance(event.get("object"), Mapping)


def _name(event: Mapping[str, Any]) -> str:
    if "detail-type" in event:
        return f"an event {_shown(event['detail-type'])} of {_shown(event.get('source'))}"
    if _source(event):
        return f"a record of {_source(event)[:80]}"
    return f"an object with {sorted(str(name)[:20] for name in event)[:8]}"


def _shown(value: object) -> str:
    """A foreign value as part of one printable line, however long or deep it is."""
    return type(value).__name__ if isinstance(value, Mapping | list) else repr(value)[:80]


def _why(error: Exception) -> str:
    return repr(error)[:120]
