"""The dead-letter queue: read it without removing messages, and move its messages back to the function's queue."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from handler.results.keys import source_of
from handler.triggers.events import Work, read_event
from infra.common.errors import OperatorError
from infra.common.progress import Meter, meter
from infra.operate.queues import depth
from infra.operate.stack import DeployedStack

if TYPE_CHECKING:
    from types_boto3_sqs.type_defs import MessageTypeDef, SendMessageBatchRequestEntryTypeDef

_BATCH = 10
# Of the messages of a request. SQS accepts 1 MiB, and some of its emulators and older regions 256 KiB.
_REQUEST_BYTES = 250_000
# An upper bound for name, type and value of an attribute that EventBridge adds.
_ATTRIBUTES_BYTES = 2_000
# While this program reads or moves a message, other consumers do not receive it.
_HOLD_SECONDS = 300
_POLL_SECONDS = 2.0

# Error codes of an SQS without message move tasks.
_UNSUPPORTED = frozenset(
    {
        "InvalidAction",
        "UnknownOperationException",
        "AWS.SimpleQueueService.UnsupportedOperation",
        "UnsupportedOperation",
    }
)


@dataclass(frozen=True)
class DeadLetter:
    """An object of a message in the dead-letter queue.

    Attributes:
        source: the object's `s3://bucket/key`; the start of the message if it cannot be parsed.
        sent_at: when the message was sent, ISO 8601.
        error: why it cannot be parsed; empty if it can.
    """

    source: str
    sent_at: str
    error: str


def peek(stack: DeployedStack, limit: int) -> list[DeadLetter]:
    """Read up to `limit` dead letters, and release them.

    Messages are held while this reads, so each is read once. Messages that another consumer holds are not read.
    """
    url = stack.dead_letter_queue_url
    found: list[MessageTypeDef] = []
    try:
        while len(found) < limit:
            messages = _receive(stack, url, min(_BATCH, limit - len(found)))
            if not messages:
                break
            found += messages
    finally:
        _release(stack, url, found)
    return [letter for message in found for letter in _dead_letters(message)]


def _receive(stack: DeployedStack, url: str, count: int) -> "list[MessageTypeDef]":
    answer = stack.sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=count,
        VisibilityTimeout=_HOLD_SECONDS,
        WaitTimeSeconds=1,  # long polling queries all SQS servers, not a sample of them
        MessageSystemAttributeNames=["SentTimestamp"],
        MessageAttributeNames=["All"],
    )
    return answer.get("Messages", [])


def _release(stack: DeployedStack, url: str, messages: "Sequence[MessageTypeDef]") -> None:
    for start in range(0, len(messages), _BATCH):
        stack.sqs.change_message_visibility_batch(
            QueueUrl=url,
            Entries=[
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
                for number, message in enumerate(messages[start : start + _BATCH])
            ],
        )


def _dead_letters(message: "MessageTypeDef") -> Iterator[DeadLetter]:
    """A dead letter for each object in a message."""
    record = {"messageId": message["MessageId"], "eventSource": "aws:sqs", "body": message["Body"]}
    work = read_event({"Records": [record]})
    milliseconds = int(message.get("Attributes", {}).get("SentTimestamp", "0"))
    sent_at = datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    parts = work.messages if isinstance(work, Work) else ()
    jobs = [job for part in parts for job in part.jobs]
    error = next((str(part.error) for part in parts if part.error is not None), "")
    yield from (DeadLetter(source_of(job.bucket, job.key), sent_at, "") for job in jobs)
    if error or not jobs:
        yield DeadLetter(message["Body"][:80], sent_at, error or "the message names no object")


def redrive(stack: DeployedStack, rate: int | None) -> dict[str, int]:
    """Move all dead letters to the function's queue, and wait until that is done; return the numbers, for --json.

    SQS moves those that it has put there itself, in a message move task. It does not support letters of Lambda's
    asynchronous invocations and of EventBridge, so this program moves what is left: it receives, sends and deletes each
    message. It deletes a message only after the other queue has it, so a message can be duplicated but never lost.

    Args:
        stack: the stack.
        rate: maximum messages a second, 1 to 500; None for no limit.

    Raises:
        OperatorError: the move task of SQS was cancelled.
    """
    url, moved = stack.dead_letter_queue_url, 0
    before = depth(stack, url)
    if before.waiting:
        with meter("redrive") as progress:
            previous = _previous_task_start(stack, url)
            if _start_move_task(stack, url, rate):
                moved = _wait_for_move_task(stack, url, previous, progress)
            moved += _move_rest(stack, url, rate, _Count(moved, before.waiting, progress))
        print(f"Moved {moved:,} dead letters to the function's queue. Messages that fail again return.")
    else:
        print("There are no dead letters.")
    held = depth(stack, url).in_flight
    if held:
        print(f"Another program is reading {held:,} dead letters. Run redrive again when it has released them.")
    return {"moved": moved, "held": held}


def _previous_task_start(stack: DeployedStack, url: str) -> int:
    """Start of the latest finished move task, Unix milliseconds; 0 if there is none."""
    try:
        tasks = stack.sqs.list_message_move_tasks(SourceArn=_arn(stack, url), MaxResults=1)["Results"]
    except ClientError as error:
        if error.response["Error"]["Code"] in _UNSUPPORTED:
            return 0
        raise
    return max((task.get("StartedTimestamp", 0) for task in tasks if task.get("Status") != "RUNNING"), default=0)


def _start_move_task(stack: DeployedStack, url: str, rate: int | None) -> bool:
    """Start a move task unless one is running; False if this SQS has no move tasks."""
    source, destination = _arn(stack, url), _arn(stack, stack.queue_url)
    limit: Any = {} if rate is None else {"MaxNumberOfMessagesPerSecond": rate}
    try:
        for task in stack.sqs.list_message_move_tasks(SourceArn=source, MaxResults=1)["Results"]:
            if task.get("Status") == "RUNNING":
                return True
        stack.sqs.start_message_move_task(SourceArn=source, DestinationArn=destination, **limit)
    except ClientError as error:
        if error.response["Error"]["Code"] in _UNSUPPORTED:
            return False
        raise
    return True


def _arn(stack: DeployedStack, url: str) -> str:
    return stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def _wait_for_move_task(stack: DeployedStack, url: str, previous: int, progress: Meter) -> int:
    """Wait for the task that started after `previous` to end; the number of messages that it moved.

    A task that fails has moved none or some of the messages.

    Raises:
        OperatorError: the task was cancelled.
    """
    arn = _arn(stack, url)
    while True:
        # The latest task is ours: SQS runs one at a time. It cannot be identified by its handle, because the list
        # contains handles of running tasks only.
        tasks = stack.sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1)["Results"]
        if not tasks or tasks[0].get("StartedTimestamp", previous + 1) <= previous:
            time.sleep(_POLL_SECONDS)  # our task is not in the list yet
            continue
        task = tasks[0]
        moved = task.get("ApproximateNumberOfMessagesMoved", 0)
        ended = task.get("Status") not in {"RUNNING", "CANCELLING"}
        progress.update(moved, task.get("ApproximateNumberOfMessagesToMove"), last=ended)
        if task.get("Status") == "CANCELLED":
            raise OperatorError(f"SQS stopped after moving {moved:,} messages, because the task was cancelled")
        if ended:
            return moved
        time.sleep(_POLL_SECONDS)


@dataclass(frozen=True)
class _Count:
    """Progress of a redrive.

    Attributes:
        moved: messages that SQS has moved.
        found: messages that were there at the start.
        progress: shows it.
    """

    moved: int
    found: int
    progress: Meter

    def show(self, more: int, *, last: bool = False) -> None:
        """Show that this program has moved so many more."""
        moved = self.moved + more
        self.progress.update(moved, moved if last else max(self.found, moved), last=last)


def _move_rest(stack: DeployedStack, url: str, rate: int | None, count: _Count) -> int:
    """Move the messages that are in the queue now; not those that have failed again and returned meanwhile."""
    moved, sent = 0, set[str]()
    while messages := _receive(stack, url, _BATCH):
        returned = [message for message in messages if message["MessageId"] in sent]
        rest = [message for message in messages if message["MessageId"] not in sent]
        _release(stack, url, returned)
        accepted = _move_batch(stack, url, rest)
        sent |= accepted
        moved += len(accepted)
        count.show(moved)
        if returned and not rest:
            break
        if rate is not None:
            time.sleep(len(messages) / rate)
    count.show(moved, last=True)
    return moved


def _move_batch(stack: DeployedStack, url: str, messages: "Sequence[MessageTypeDef]") -> set[str]:
    """Send messages, then delete those that were accepted; return the ids that they have now.

    The others become visible again after the hold, and after an interruption at once.
    """
    try:
        return {name for part in _parts(messages) for name in _move_part(stack, url, part)}
    except BaseException:
        with suppress(ClientError, BotoCoreError, KeyboardInterrupt):
            _release(stack, url, messages)  # has no effect on those that are deleted
        raise


def _move_part(stack: DeployedStack, url: str, messages: "Sequence[MessageTypeDef]") -> Iterator[str]:
    entries = [_entry(number, message) for number, message in enumerate(messages)]
    answer = stack.sqs.send_message_batch(QueueUrl=stack.queue_url, Entries=entries)
    accepted = answer.get("Successful", [])
    if accepted:
        handles = [(entry["Id"], messages[int(entry["Id"])]["ReceiptHandle"]) for entry in accepted]
        stack.sqs.delete_message_batch(
            QueueUrl=url, Entries=[{"Id": number, "ReceiptHandle": handle} for number, handle in handles]
        )
    yield from (entry["MessageId"] for entry in accepted)


def _parts(messages: "Sequence[MessageTypeDef]") -> Iterator[list["MessageTypeDef"]]:
    """Split messages so that each part fits into one request: a letter of Lambda contains a whole event."""
    part: list[MessageTypeDef] = []
    size = 0
    for message in messages:
        more = len(message["Body"].encode()) + _ATTRIBUTES_BYTES * len(message.get("MessageAttributes", {}))
        if part and size + more > _REQUEST_BYTES:
            yield part
            part, size = [], 0
        part.append(message)
        size += more
    if part:
        yield part


def _entry(number: int, message: "MessageTypeDef") -> "SendMessageBatchRequestEntryTypeDef":
    """A message as an entry; the attributes are those that EventBridge adds, with the reason of the failure."""
    entry: SendMessageBatchRequestEntryTypeDef = {"Id": str(number), "MessageBody": message["Body"]}
    if message.get("MessageAttributes"):
        attributes: Any = message["MessageAttributes"]
        entry["MessageAttributes"] = attributes
    return entry
