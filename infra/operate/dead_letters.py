"""The messages that failed too often: looked at, and sent to the function's queue again."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from handler.results.keys import source_of
from handler.triggers.events import Work, read_event
from infra.common.errors import OperatorError
from infra.common.progress import Meter, meter
from infra.operate.account import Account
from infra.operate.queues import depth

if TYPE_CHECKING:
    from types_boto3_sqs.type_defs import MessageTypeDef, SendMessageBatchRequestEntryTypeDef

_BATCH = 10
# While a letter is looked at, or moved by hand, nobody else gets it.
_HELD_SECONDS = 300
_LOOK_SECONDS = 2.0

# What an SQS says that cannot move messages by itself.
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
    """A message that failed too often.

    Attributes:
        source: `s3://bucket/key` that it is about; its beginning where it cannot be read.
        sent_at: ISO 8601, when it was sent first.
        error: why it cannot be read; empty where it can.
    """

    source: str
    sent_at: str
    error: str


def peek(account: Account, limit: int) -> list[DeadLetter]:
    """Look at some dead letters, and give them back.

    They are held while this looks, so that each is seen once; one that is held by others is not seen.
    """
    url = account.dead_letter_queue_url
    found: list[MessageTypeDef] = []
    try:
        while len(found) < limit:
            messages = _receive(account, url, min(_BATCH, limit - len(found)))
            if not messages:
                break
            found += messages
    finally:
        _give_back(account, url, found)
    return [letter for message in found for letter in _letters(message)]


def _receive(account: Account, url: str, count: int) -> "list[MessageTypeDef]":
    answer = account.sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=count,
        VisibilityTimeout=_HELD_SECONDS,
        WaitTimeSeconds=1,  # asks all of SQS's servers, not only some
        MessageSystemAttributeNames=["SentTimestamp"],
        MessageAttributeNames=["All"],
    )
    return answer.get("Messages", [])


def _give_back(account: Account, url: str, messages: "Sequence[MessageTypeDef]") -> None:
    for start in range(0, len(messages), _BATCH):
        account.sqs.change_message_visibility_batch(
            QueueUrl=url,
            Entries=[
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
                for number, message in enumerate(messages[start : start + _BATCH])
            ],
        )


def _letters(message: "MessageTypeDef") -> Iterator[DeadLetter]:
    """One for each object that a message is about."""
    record = {"messageId": message["MessageId"], "eventSource": "aws:sqs", "body": message["Body"]}
    work = read_event({"Records": [record]})
    milliseconds = int(message.get("Attributes", {}).get("SentTimestamp", "0"))
    sent_at = datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    parts = work.messages if isinstance(work, Work) else ()
    jobs = [job for part in parts for job in part.jobs]
    error = next((str(part.error) for part in parts if part.error is not None), "")
    yield from (DeadLetter(source_of(job.bucket, job.key), sent_at, "") for job in jobs)
    if error or not jobs:
        yield DeadLetter(message["Body"][:80], sent_at, error or "it names no object")


def redrive(account: Account, rate: int | None) -> None:
    """Send all dead letters to the function's queue again, and wait until that is done.

    SQS moves them by itself where it can. Where it cannot, they are moved by hand: each is deleted only when it is in
    the other queue, so that a letter can come twice but none is lost.

    Args:
        account: where.
        rate: letters a second, at most, 1 to 500.

    Raises:
        OperatorError: SQS gives up.
    """
    url = account.dead_letter_queue_url
    before = depth(account, url)
    if before.waiting:
        with meter("redrive") as shown:
            earlier = _last_task(account, url)
            if _is_task_started(account, url, rate):
                moved = _watch(account, url, earlier, shown)
            else:
                moved = _move(account, url, rate, before.waiting, shown)
        print(f"{moved:,} dead letters are in the function's queue again; what fails again comes back.")
    else:
        print("There are no dead letters.")
    held = depth(account, url).in_flight
    if held:
        print(f"{held:,} are held by somebody who looks at them, for {_HELD_SECONDS // 60} minutes at most.")


def _last_task(account: Account, url: str) -> int:
    """When the latest task began that has ended, Unix milliseconds; 0 where there is none."""
    try:
        tasks = account.sqs.list_message_move_tasks(SourceArn=_arn(account, url), MaxResults=1)["Results"]
    except ClientError as error:
        if error.response["Error"]["Code"] in _UNSUPPORTED:
            return 0
        raise
    return max((task.get("StartedTimestamp", 0) for task in tasks if task.get("Status") != "RUNNING"), default=0)


def _is_task_started(account: Account, url: str, rate: int | None) -> bool:
    """Have SQS do it, unless it is at it already; False where it cannot."""
    arn, to = _arn(account, url), _arn(account, account.queue_url)
    limit: Any = {} if rate is None else {"MaxNumberOfMessagesPerSecond": rate}
    try:
        for task in account.sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1)["Results"]:
            if task.get("Status") == "RUNNING":
                return True
        account.sqs.start_message_move_task(SourceArn=arn, DestinationArn=to, **limit)
    except ClientError as error:
        if error.response["Error"]["Code"] in _UNSUPPORTED:
            return False
        raise
    return True


def _arn(account: Account, url: str) -> str:
    return account.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def _watch(account: Account, url: str, earlier: int, shown: Meter) -> int:
    arn = _arn(account, url)
    while True:
        # The latest one is ours: SQS runs one task at a time, and a task that has ended has no handle to know it by.
        tasks = account.sqs.list_message_move_tasks(SourceArn=arn, MaxResults=1)["Results"]
        if not tasks or tasks[0].get("StartedTimestamp", earlier + 1) <= earlier:
            time.sleep(_LOOK_SECONDS)  # it is not on the list yet
            continue
        task = tasks[0]
        moved = task.get("ApproximateNumberOfMessagesMoved", 0)
        ended = task.get("Status") not in {"RUNNING", "CANCELLING"}
        shown.update(moved, task.get("ApproximateNumberOfMessagesToMove"), last=ended)
        if task.get("Status") in {"FAILED", "CANCELLED"}:
            raise OperatorError(f"SQS stopped after {moved:,} letters: {task.get('FailureReason', task.get('Status'))}")
        if ended:
            return moved
        time.sleep(_LOOK_SECONDS)


def _move(account: Account, url: str, rate: int | None, found: int, shown: Meter) -> int:
    moved = 0
    while messages := _receive(account, url, _BATCH):
        moved += _move_batch(account, url, messages)
        shown.update(moved, max(found, moved))
        if rate is not None:
            time.sleep(len(messages) / rate)
    shown.update(moved, moved, last=True)
    return moved


def _move_batch(account: Account, url: str, messages: "Sequence[MessageTypeDef]") -> int:
    """Send, then delete what was taken; the rest comes to sight again when it is no longer held."""
    entries = [_entry(number, message) for number, message in enumerate(messages)]
    answer = account.sqs.send_message_batch(QueueUrl=account.queue_url, Entries=entries)
    taken = [int(entry["Id"]) for entry in answer.get("Successful", [])]
    if taken:
        account.sqs.delete_message_batch(
            QueueUrl=url,
            Entries=[{"Id": str(number), "ReceiptHandle": messages[number]["ReceiptHandle"]} for number in taken],
        )
    return len(taken)


def _entry(number: int, message: "MessageTypeDef") -> "SendMessageBatchRequestEntryTypeDef":
    entry: SendMessageBatchRequestEntryTypeDef = {"Id": str(number), "MessageBody": message["Body"]}
    if message.get("MessageAttributes"):
        attributes: Any = message["MessageAttributes"]
        entry["MessageAttributes"] = attributes
    return entry
