"""Deliver failed messages of a queue again soon: not after the queue's visibility timeout, which is minutes.

A message is received again after 10 s, then after twice as long each time, up to 150 s, which is less than the shortest
visibility timeout of the template. Its `maxReceiveCount` is so large that an outage of more than an hour moves no
message to the dead-letter queue. A message that cannot be read gets there within a minute or two.
"""

import random
from collections.abc import Sequence
from functools import partial

from handler.aws.clients import Clients
from handler.aws.retries import CONNECT_SECONDS, READ_SECONDS, attempt
from handler.aws.sdk.sqs import SQS
from handler.errors import DropvecError
from handler.log import log
from handler.timing import Deadline
from handler.triggers.events import Receipt

FIRST_SECONDS = 10.0
MAX_SECONDS = 150.0
# Spreads the messages of a failed batch. Never longer than without it.
JITTER = 0.2
# For a message that cannot be read: later attempts would fail in the same way.
UNREADABLE_SECONDS = 1


def seconds_until_next(receives: int) -> int:
    """When a message becomes visible again after its `receives`-th receive has failed, in seconds."""
    longest: float = min(MAX_SECONDS, FIRST_SECONDS * 2.0 ** min(receives - 1, 10))
    return round(longest * random.uniform(1 - JITTER, 1))  # noqa: S311 - jitter


def deliver_soon(clients: Clients, failed: Sequence[tuple[Receipt, DropvecError]], deadline: Deadline) -> None:
    """Change when failed messages become visible again.

    If this fails, or too little time is left for it, they become visible after the queue's visibility timeout.
    """
    sqs = SQS(clients.s3.client, clients.s3.endpoints)
    for receipt, error in failed:
        if deadline.left() < CONNECT_SECONDS + READ_SECONDS:
            return
        try:
            change = partial(
                sqs.change_visibility,
                receipt.queue_arn,
                receipt.handle,
                seconds_until_next(receipt.receives) if error.retryable else UNREADABLE_SECONDS,
            )
            attempt(change, deadline)
        except DropvecError as refused:
            log({"level": "WARNING", "message": f"a failed message comes back later than planned: {refused}"})
            return  # most likely the others would fail in the same way
