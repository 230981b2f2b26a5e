"""Depth and age of the queues."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.operate.stack import DeployedStack

_NAMES: Any = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

# Queue metrics reach CloudWatch with a delay of a few minutes.
_METRIC_SPAN = timedelta(minutes=15)


@dataclass(frozen=True)
class Depth:
    """Approximate number of messages in a queue; SQS updates its counts with a short delay.

    Attributes:
        waiting: not received yet.
        in_flight: received, and neither deleted nor visible again.
    """

    waiting: int
    in_flight: int


def depth(stack: DeployedStack, url: str) -> Depth:
    """Ask SQS for the depth of a queue."""
    found = stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=_NAMES)["Attributes"]
    waiting, in_flight = (int(found[name]) for name in _NAMES)
    return Depth(waiting, in_flight)


def oldest_seconds(stack: DeployedStack, url: str, now: datetime | None = None) -> float | None:
    """Age of the oldest message, according to CloudWatch; None if it has no data or access is denied."""
    end = now or datetime.now(UTC)
    try:
        points = stack.cloudwatch.get_metric_statistics(
            Namespace="AWS/SQS",
            MetricName="ApproximateAgeOfOldestMessage",
            Dimensions=[{"Name": "QueueName", "Value": url.rpartition("/")[2]}],
            StartTime=end - _METRIC_SPAN,
            EndTime=end,
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
    except (ClientError, BotoCoreError):  # the rest of the status is useful without permission to read metrics
        return None
    return max(points, key=lambda point: point["Timestamp"])["Maximum"] if points else None
