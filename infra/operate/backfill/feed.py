"""Hand keys to the function through the queue that it reads anyway: no faster than asked, and never many ahead of it.

A message is an S3 notification of one object, without a sequencer: the function then compares and swaps, so that it
never replaces newer work. One object a message, although many would fit: what fails is tried again, and set aside after
five times, a message at a time; an image that takes long would take its neighbours' time with it, and a batch of ten
messages would be more images than the function has time for. That costs 12 cents for a million images more than the
fullest messages could.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

import orjson

from infra.common.errors import OperatorError
from infra.operate.account import Account

if TYPE_CHECKING:
    from types_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

BATCH = 10
SENDERS = 8

_TRIES = 8
_LOOK_SECONDS = 0.5
_STILL_LOOKS = 120


def message_of(bucket: str, key: str) -> str:
    """The message for one object; all of it is ASCII, whatever the key is."""
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "dropvec:Backfill",
        "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/")}},
    }
    return orjson.dumps({"Records": [record]}).decode()


def queue_depth(account: Account) -> int:
    """How many messages the queue holds that nobody works on, about."""
    answer = account.sqs.get_queue_attributes(
        QueueUrl=account.queue_url, AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


@dataclass
class Pacer:
    """Lets a number of things through a second.

    Attributes:
        rate: a second; None lets all through.
    """

    rate: float | None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    _free_at: float = 0.0

    def take(self, count: int) -> None:
        """Wait until that many more may go."""
        if self.rate is None:
            return
        start = max(self.clock(), self._free_at)
        self._free_at = start + count / self.rate
        if start > self.clock():
            self.sleep(start - self.clock())


@dataclass
class Room:
    """Keeps the queue short, so that new uploads do not wait behind the backfill, and nothing in it grows old.

    Attributes:
        limit: messages that may wait in the queue; None for any number.
        depth: how many do now, about.
        warn: told once how many there are when none of them has gone for a minute.
    """

    limit: int | None
    depth: Callable[[], int]
    warn: Callable[[int], object]
    sleep: Callable[[float], object] = time.sleep
    _left: int = 0
    _still: int = 0
    _last: int = 0

    def take(self, count: int) -> None:
        """Wait until there is room for that many."""
        if self.limit is None:
            return
        while self._left < count:
            depth = self.depth()
            self._left = max(self.limit - depth, count if depth == 0 else 0)
            if self._left < count:
                self._look_at(depth)
                self.sleep(_LOOK_SECONDS)
        self._left -= count

    def _look_at(self, depth: int) -> None:
        self._still = 0 if depth < self._last else self._still + 1
        self._last = depth
        if self._still == _STILL_LOOKS:
            self.warn(depth)


@dataclass
class Feed:
    """Sends."""

    account: Account
    bucket: str
    room: Room
    pacer: Pacer
    pool: ThreadPoolExecutor

    def send(self, keys: Sequence[str]) -> None:
        """Put the keys into the queue; when this returns, all are in it.

        Raises:
            OperatorError: the queue refuses one.
        """
        sending: list[Future[None]] = []
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            self.room.take(len(batch))
            self.pacer.take(len(batch))
            sending.append(self.pool.submit(self._send, batch))
        for future in sending:
            future.result()

    def _send(self, keys: Sequence[str]) -> None:
        url = self.account.queue_url
        left: dict[str, SendMessageBatchRequestEntryTypeDef] = {
            str(number): {"Id": str(number), "MessageBody": message_of(self.bucket, key)}
            for number, key in enumerate(keys)
        }
        for attempt in range(_TRIES):
            answer = self.account.sqs.send_message_batch(QueueUrl=url, Entries=list(left.values()))
            failed = answer.get("Failed", [])
            for entry in failed:
                if entry["SenderFault"]:
                    raise OperatorError(f"the queue refuses a message: {entry['Code']}: {entry.get('Message', '')}")
            left = {entry["Id"]: left[entry["Id"]] for entry in failed}
            if not left:
                return
            time.sleep(min(5.0, 0.1 * 2**attempt))
        raise OperatorError("the queue does not take messages at the moment: run the same command again later")
