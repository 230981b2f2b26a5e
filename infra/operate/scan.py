"""Parallel scan of the table, page by page: memory does not grow with the table."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra.operate.stack import DeployedStack

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import ScanInputTypeDef, ScanOutputTypeDef

SEGMENTS = 4
# DynamoDB also ends a page at 1 MB.
PAGE_ITEMS = 1000

WireItem = Mapping[str, Any]


@dataclass(frozen=True)
class Filter:
    """A filter expression. DynamoDB charges for all scanned items, also those that the filter drops.

    Attributes:
        expression: with `#name` for each attribute name and the placeholders of `values`.
        values: in DynamoDB's wire form, by placeholder.
    """

    expression: str
    values: Mapping[str, WireItem]


@dataclass(frozen=True)
class Scan:
    """What to scan.

    Attributes:
        attributes: names of the attributes to return.
        only: which items to return; None for all.
        page_items: maximum number of items per page.
        segments: number of segments that are scanned in parallel.
    """

    attributes: Sequence[str]
    only: Filter | None = None
    page_items: int = PAGE_ITEMS
    segments: int = field(default=SEGMENTS)


@dataclass(frozen=True)
class ScanPage:
    """A page of a scan.

    Attributes:
        items: in DynamoDB's wire form, in no particular order.
        scanned: number of items that DynamoDB scanned for the page.
    """

    items: Sequence[WireItem]
    scanned: int


def scan(stack: DeployedStack, what: Scan) -> Iterator[ScanPage]:
    """Yield every page of the table, in any order; at most one page per segment is in memory."""
    table = stack.table

    def read(segment: int, start: Any) -> "ScanOutputTypeDef":  # noqa: ANN401 - a LastEvaluatedKey
        request = _request(table, what, segment)
        if start:
            request["ExclusiveStartKey"] = start
        return stack.dynamodb.scan(**request)

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
                yield ScanPage(answer.get("Items", []), answer["ScannedCount"])


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
    """DynamoDB's estimate of a table's size, updated about every six hours."""

    items: int
    bytes: int


def table_size(stack: DeployedStack) -> TableSize:
    """Ask DynamoDB for the table's approximate size."""
    table = stack.dynamodb.describe_table(TableName=stack.table)["Table"]
    return TableSize(table.get("ItemCount", 0), table.get("TableSizeBytes", 0))
