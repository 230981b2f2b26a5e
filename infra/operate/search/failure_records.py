"""Changes that the indexer could not apply: Lambda's failure records in the results bucket.

A record holds a whole batch of the table's stream. It is never replayed, because newer changes were applied since:
`redrive` touches the items that it names, and the stream brings them as they are now.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from infra.common.errors import OperatorError
from infra.common.progress import meter
from infra.operate.search.indexes import Indexes, find_indexes
from infra.operate.search.items import Toucher, add_tombstone, make_toucher, writers
from infra.operate.stack import RESULTS, VECTOR_BUCKET, DeployedStack

# Lambda's own prefix: https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
PREFIX = "aws/lambda/"


def record_keys(stack: DeployedStack) -> Iterator[str]:
    """The keys of the records in the results bucket."""
    pages = stack.s3.get_paginator("list_objects_v2").paginate(Bucket=stack.resource(RESULTS), Prefix=PREFIX)
    return (entry["Key"] for page in pages for entry in page.get("Contents", []))


def sources_of(record: bytes) -> list[str]:
    """The items that a record names, each one once.

    Raises:
        ValueError: it is no failure record of a table's stream with its payload.
    """
    try:
        payload: Any = orjson.loads(record)["payload"]
        event = orjson.loads(payload) if isinstance(payload, str) else payload
        return list(dict.fromkeys(each["dynamodb"]["Keys"]["source"]["S"] for each in event["Records"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"no failure record of the table's stream ({error!r})") from None


def redrive_records(stack: DeployedStack) -> dict[str, int]:
    """Touch the items that failure records name, and delete each record when that is done.

    An item that is gone gets a tombstone if an index still has its vector.

    Returns:
        The numbers of `records` and of touched items (`touched`).

    Raises:
        OperatorError: some records could not be read; they stay.
    """
    indexes = find_indexes(stack) if stack.find_resource_of_optional_stack(VECTOR_BUCKET) else None
    if indexes is None or stack.find_resource(RESULTS) is None:
        return {"records": 0, "touched": 0}
    records = touched = 0
    unreadable: list[str] = []
    with writers() as pool, meter("failure records") as progress:
        toucher = make_toucher(stack, pool)
        for key in record_keys(stack):
            try:
                touched += _redrive_record(stack, toucher, indexes, key)
                records += 1
            except ValueError:
                unreadable.append(key)
            progress.update(records, None, f"{touched:,} items touched")
        progress.update(records, None, f"{touched:,} items touched", last=True)
    if records:
        print(f"Touched {touched:,} items of {records:,} failure records; the indexer applies them again.")
    if unreadable:
        raise OperatorError(
            f"{len(unreadable):,} objects under {PREFIX} are no failure records of the indexer, such as {unreadable[0]}"
        )
    return {"records": records, "touched": touched}


def _redrive_record(stack: DeployedStack, toucher: Toucher, indexes: Indexes, key: str) -> int:
    bucket = stack.resource(RESULTS)
    sources = sources_of(stack.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    missing = toucher.touch(sources)
    for source in missing:
        if indexes.holding(source):
            add_tombstone(stack, source)
    stack.s3.delete_object(Bucket=bucket, Key=key)
    return len(sources) - len(missing)
