"""How the queues are."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.operate.account import Account

_NAMES: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

# CloudWatch gets the queue's metrics a few minutes late.
_METRIC_SPAN = timedelta(minutes=15)


@dataclass(frozen=True)
class Depth:
    """A queue's messages, about: SQS counts a moment late.

    Attributes:
        waiting: nobody works on them.
        in_flight: taken, and neither deleted nor given back.
    """

    waiting: int
    in_flight: int


def depth(account: Account, url: str) -> Depth:
    """How many messages a queue holds."""
    found = account.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=_NAMES)["Attributes"]
    waiting, in_flight = (int(found[name]) for name in _NAMES)
    return Depth(waiting, in_flight)


def oldest_seconds(account: Account, url: str, now: datetime | None = None) -> float | None:
    """The age of the oldest message, of which only CloudWatch tells; None where it does not."""
    end = now or datetime.now(UTC)
    try:
        points = account.cloudwatch.get_metric_statistics(
            Namespace="AWS/SQS",
            MetricName="ApproximateAgeOfOldestMessage",
            Dimensions=[{"Name": "QueueName", "Value": url.rpartition("/")[2]}],
            StartTime=end - _METRIC_SPAN,
            EndTime=end,
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
    except (ClientError, BotoCoreError):  # without leave to read metrics all else is still worth telling
        return None
    return max(points, key=lambda point: point["Timestamp"])["Maximum"] if points else None
