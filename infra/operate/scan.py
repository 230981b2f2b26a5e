"""Read a whole table, several parts of it at a time, a page at a time: memory does not grow with the table."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.operate.account import Account

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import ScanInputTypeDef, ScanOutputTypeDef

SEGMENTS = 4
# DynamoDB itself ends a page at 1 MB.
PAGE_ITEMS = 1000

WireItem = Mapping[str, Any]


@dataclass(frozen=True)
class Filter:
    """Which items DynamoDB sends; all that it looks at is paid for.

    Attributes:
        expression: of `names` with a `#` before them, and of `values`.
        values: as DynamoDB has them, by placeholder.
    """

    expression: str
    values: Mapping[str, WireItem]


@dataclass(frozen=True)
class Scan:
    """What is read.

    Attributes:
        attributes: of each item; others are not sent.
        only: which items; None takes all.
    """

    attributes: Sequence[str]
    only: Filter | None = None
    page_items: int = PAGE_ITEMS
    segments: int = field(default=SEGMENTS)


@dataclass(frozen=True)
class Page:
    """Some items.

    Attributes:
        items: in DynamoDB's form, without an order.
        looked_at: how many items DynamoDB looked at for them.
    """

    items: Sequence[WireItem]
    looked_at: int


def scan(account: Account, what: Scan) -> Iterator[Page]:
    """Every page of the table, in any order; as many are held as there are segments."""
    table = account.table

    def read(segment: int, start: Any) -> "ScanOutputTypeDef":  # noqa: ANN401 - a key as DynamoDB gave it
        request = _request(table, what, segment)
        if start:
            request["ExclusiveStartKey"] = start
        return account.dynamodb.scan(**request)

    with ThreadPoolExecutor(what.segments, thread_name_prefix="scan") as pool:
        running: dict[Future[ScanOutputTypeDef], int] = {
            pool.submit(read, segment, None): segment for segment in range(what.segments)
        }
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                segment = running.pop(future)
                answer = future.result()
                if answer.get("LastEvaluatedKey"):
                    running[pool.submit(read, segment, answer["LastEvaluatedKey"])] = segment
                yield Page(answer.get("Items", []), answer["ScannedCount"])


def _request(table: str, what: Scan, segment: int) -> "ScanInputTypeDef":
    names = dict.fromkeys(what.attributes)
    request: ScanInputTypeDef = {
        "TableName": table,
        "Segment": segment,
        "TotalSegments": what.segments,
        "Limit": what.page_items,
        "ProjectionExpression": ", ".join(f"#{name}" for name in names),
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
    }
    if what.only is not None:
        request["FilterExpression"] = what.only.expression
        request["ExpressionAttributeValues"] = dict(what.only.values)
    return request


@dataclass(frozen=True)
class TableSize:
    """What DynamoDB says of a table; it counts about every six hours."""

    items: int
    bytes: int


def table_size(account: Account) -> TableSize:
    """How large the table is, about."""
    table = account.dynamodb.describe_table(TableName=account.table)["Table"]
    return TableSize(table.get("ItemCount", 0), table.get("TableSizeBytes", 0))
