"""Items of the table: strongly consistent reads, and the two writes that make the indexer apply an item again."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from handler.results.item import StoredItem, read_item
from handler.results.record import tombstone_of, utc_now
from infra.common.errors import OperatorError
from infra.operate.backfill.feed import RateLimiter
from infra.operate.stack import DeployedStack

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import KeysAndAttributesTypeDef

BATCH = 100
WRITERS = 16

_TRIES = 10
_REFUSED = "ConditionalCheckFailedException"


def read_items(stack: DeployedStack, sources: Sequence[str], attributes: Sequence[str] = ()) -> dict[str, StoredItem]:
    """The items of some sources, strongly consistent; those without an item are left out.

    Args:
        stack: the stack.
        sources: each one once.
        attributes: to read beside `source`; none for all.

    Raises:
        OperatorError: DynamoDB throttles every attempt.
    """
    found: dict[str, StoredItem] = {}
    for start in range(0, len(sources), BATCH):
        found |= _read_batch(stack, sources[start : start + BATCH], attributes)
    return found


def _read_batch(stack: DeployedStack, sources: Sequence[str], attributes: Sequence[str]) -> Mapping[str, StoredItem]:
    table = stack.table
    request: KeysAndAttributesTypeDef = {
        "Keys": [{"source": {"S": source}} for source in sources],
        "ConsistentRead": True,
    }
    if attributes:
        names = dict.fromkeys(["source", *attributes])
        request["ProjectionExpression"] = ", ".join(f"#{name}" for name in names)
        request["ExpressionAttributeNames"] = {f"#{name}": name for name in names}
    found: dict[str, StoredItem] = {}
    for attempt in range(_TRIES):
        answer = stack.dynamodb.batch_get_item(RequestItems={table: request})
        items = map(read_item, answer["Responses"].get(table, []))
        found |= {item.source: item for item in items}
        rest = answer.get("UnprocessedKeys", {}).get(table)
        if not rest:
            return found
        request = {**request, "Keys": rest["Keys"]}
        time.sleep(min(5.0, 0.05 * 2**attempt))
    raise OperatorError(f"DynamoDB throttles reads of the table {table}; run the same command later")


@dataclass(frozen=True)
class Toucher:
    """Sets `touched_at` of items, so that the table's stream delivers them to the indexer again.

    Attributes:
        stack: the stack.
        pool: runs the writes.
        limiter: of items a second.
    """

    stack: DeployedStack
    pool: ThreadPoolExecutor
    limiter: RateLimiter

    def touch(self, sources: Sequence[str]) -> list[str]:
        """Touch items; the sources that have none."""
        missing: list[str] = []
        for start in range(0, len(sources), WRITERS):
            some = sources[start : start + WRITERS]
            self.limiter.take(len(some))
            missing += [
                source for source, found in zip(some, self.pool.map(self.touch_one, some), strict=True) if not found
            ]
        return missing

    def touch_one(self, source: str) -> bool:
        """Touch an item; whether there is one."""
        try:
            self.stack.dynamodb.update_item(
                TableName=self.stack.table,
                Key={"source": {"S": source}},
                UpdateExpression="SET #touched_at = :now",
                ConditionExpression="attribute_exists(#source)",
                ExpressionAttributeNames={"#touched_at": "touched_at", "#source": "source"},
                ExpressionAttributeValues={":now": {"S": iso_now()}},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != _REFUSED:
                raise
            return False
        return True


def make_toucher(stack: DeployedStack, pool: ThreadPoolExecutor, rate: float | None = None) -> Toucher:
    """A toucher with a limit of items a second; None for no limit."""
    return Toucher(stack, pool, RateLimiter(rate))


def writers() -> ThreadPoolExecutor:
    """The threads of a toucher."""
    return ThreadPoolExecutor(WRITERS, thread_name_prefix="touch")


def add_tombstone(stack: DeployedStack, source: str) -> bool:
    """Write a tombstone where there is no item, so that the indexer deletes the vectors of the object.

    Returns:
        Whether it was written; otherwise there is an item, whose own change decides about the vectors.
    """
    try:
        stack.dynamodb.put_item(
            TableName=stack.table,
            Item=tombstone_of(source, None, None, utc_now()),
            ConditionExpression="attribute_not_exists(#source)",
            ExpressionAttributeNames={"#source": "source"},
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != _REFUSED:
            raise
        return False
    return True


def iso_now() -> str:
    """The time as items have it: ISO 8601, UTC, microseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
