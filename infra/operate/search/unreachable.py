"""Copies of a deleted image that `forget` cannot delete."""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.operate.queues import depth
from infra.operate.search.failure_records import record_keys
from infra.operate.stack import DEAD_LETTERS, RESULTS, DeployedStack


def unreachable(stack: DeployedStack, bucket: str) -> list[str]:
    """The copies, a line each; one that cannot be ruled out is listed.

    Args:
        stack: the stack.
        bucket: of the object.
    """
    return [*_backups(stack), *_dead_letters(stack), *_records(stack), *_replicas(stack, bucket), *_ELSEWHERE]


_ELSEWHERE = (
    "logs of the functions: its key, until the logs expire",
    "exports, backups and copies that were made outside of dropvec",
)


def _backups(stack: DeployedStack) -> Iterator[str]:
    try:
        answer: Any = stack.dynamodb.describe_continuous_backups(TableName=stack.table)
        recovery = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
        enabled = recovery.get("PointInTimeRecoveryStatus") == "ENABLED"
        days = recovery.get("RecoveryPeriodInDays", 35)
    except (ClientError, BotoCoreError, KeyError):
        enabled, days = True, 35
    if enabled:
        yield f"point-in-time recovery of the table: its item with the vector, for {days} days"


def _dead_letters(stack: DeployedStack) -> Iterator[str]:
    if stack.find_resource(DEAD_LETTERS) is None:
        return
    letters = depth(stack, stack.dead_letter_queue_url)
    if letters.waiting + letters.in_flight:
        yield "dead letters: its key, for 14 days; `failures` lists them"


def _records(stack: DeployedStack) -> Iterator[str]:
    if any(True for _ in record_keys(stack)):
        yield "failure records of the indexer: its item with the vector, for 14 days; `redrive` deletes them"


def _replicas(stack: DeployedStack, bucket: str) -> Iterator[str]:
    for name in dict.fromkeys([bucket, stack.resource(RESULTS)]):
        try:
            rules = stack.s3.get_bucket_replication(Bucket=name)["ReplicationConfiguration"]["Rules"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ReplicationConfigurationNotFoundError":
                continue
            yield f"replicas of the bucket {name}, if it has any (its replication could not be read)"
        else:
            targets = sorted({rule["Destination"]["Bucket"].rpartition(":")[2] for rule in rules})
            yield f"replicas of the bucket {name} in {', '.join(targets)}: the image and its JSONs"
