"""Send keys to the function's queue, with a limited rate and a limited number of waiting messages.

A message is an S3 notification of one object, without a sequencer: the function then uses compare-and-swap, so it never
replaces newer results. A message could hold many objects, but SQS retries and dead-letters whole messages, a slow image
would use up the time of the others, and a batch of ten messages would exceed the function's timeout. One object per
message costs 12 cents more for a million images than the fullest possible messages.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

import orjson

from infra.common.errors import OperatorError
from infra.operate.stack import DeployedStack

if TYPE_CHECKING:
    from types_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

BATCH = 10
SENDERS = 8

_TRIES = 8
_POLL_SECONDS = 0.5
_POLLS_BEFORE_WARNING = 120


def message_of(bucket: str, key: str) -> str:
    """The message for one object; it is ASCII for any key."""
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "dropvec:Backfill",
        "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/")}},
    }
    return orjson.dumps({"Records": [record]}).decode()


def queue_depth(stack: DeployedStack) -> int:
    """Approximate number of messages waiting in the queue."""
    answer = stack.sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


@dataclass
class RateLimiter:
    """Limits a rate.

    Attributes:
        rate: units a second; None for no limit.
        clock: current time in seconds.
        sleep: waits for a number of seconds.
    """

    rate: float | None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    _free_at: float = 0.0

    def take(self, count: int) -> None:
        """Wait until the rate allows `count` more."""
        if self.rate is None:
            return
        start = max(self.clock(), self._free_at)
        self._free_at = start + count / self.rate
        if start > self.clock():
            self.sleep(start - self.clock())


@dataclass
class QueueLimiter:
    """Limits the number of waiting messages, so that uploads do not wait long and messages do not expire.

    Attributes:
        limit: maximum number of waiting messages; None for no limit.
        depth: current number of waiting messages, approximately.
        warn: called once with the depth if the queue has not become shorter for a minute.
        sleep: waits for a number of seconds.
    """

    limit: int | None
    depth: Callable[[], int]
    warn: Callable[[int], object]
    sleep: Callable[[float], object] = time.sleep
    _free: int = 0
    _polls_without_progress: int = 0
    _last_depth: int = 0

    def take(self, count: int) -> None:
        """Wait until the queue has room for `count` more messages."""
        if self.limit is None:
            return
        while self._free < count:
            depth = self.depth()
            self._free = max(self.limit - depth, count if depth == 0 else 0)
            if self._free < count:
                self._watch(depth)
                self.sleep(_POLL_SECONDS)
        self._free -= count

    def _watch(self, depth: int) -> None:
        self._polls_without_progress = 0 if depth < self._last_depth else self._polls_without_progress + 1
        self._last_depth = depth
        if self._polls_without_progress == _POLLS_BEFORE_WARNING:
            self.warn(depth)


@dataclass
class Sender:
    """Sends keys of a bucket to the function's queue."""

    stack: DeployedStack
    bucket: str
    queue_limiter: QueueLimiter
    rate_limiter: RateLimiter
    pool: ThreadPoolExecutor

    def send(self, keys: Sequence[str]) -> None:
        """Send a message for each key; returns when the queue has accepted all of them.

        Raises:
            OperatorError: SQS rejects a message, or does not accept it after several attempts.
        """
        sending: list[Future[None]] = []
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            self.queue_limiter.take(len(batch))
            self.rate_limiter.take(len(batch))
            sending.append(self.pool.submit(self._send, batch))
        for future in sending:
            future.result()

    def _send(self, keys: Sequence[str]) -> None:
        url = self.stack.queue_url
        left: dict[str, SendMessageBatchRequestEntryTypeDef] = {
            str(number): {"Id": str(number), "MessageBody": message_of(self.bucket, key)}
            for number, key in enumerate(keys)
        }
        for attempt in range(_TRIES):
            answer = self.stack.sqs.send_message_batch(QueueUrl=url, Entries=list(left.values()))
            failed = answer.get("Failed", [])
            for entry in failed:
                if entry["SenderFault"]:
                    raise OperatorError(f"SQS rejected a message: {entry['Code']}: {entry.get('Message', '')}")
            left = {entry["Id"]: left[entry["Id"]] for entry in failed}
            if not left:
                return
            time.sleep(min(5.0, 0.1 * 2**attempt))
        raise OperatorError("SQS does not accept messages at the moment: run the same command again later")
