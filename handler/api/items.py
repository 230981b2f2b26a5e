"""Reads items of the table for the API."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from handler.aws.retries import attempt
from handler.aws.sdk.dynamodb import DynamoDB
from handler.errors import RetryableError
from handler.frozen import frozen
from handler.results.item import StoredItem, WireItem, read_item, text_of
from handler.timing import Deadline

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import KeysAndAttributesOutputTypeDef, KeysAndAttributesTypeDef

# DynamoDB's limit: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
MAX_BATCH = 100


@frozen
class ItemReader:
    """Reads one table.

    Attributes:
        dynamodb: the client.
        table: its name.
    """

    dynamodb: DynamoDB
    table: str

    def read(self, source: str, deadline: Deadline) -> StoredItem | None:
        """An object's item; None where there is none.

        Raises:
            RetryableError: DynamoDB failed.
        """
        item = self.read_wire(source, deadline)
        return None if item is None else read_item(item)

    def read_wire(self, source: str, deadline: Deadline) -> WireItem | None:
        """An object's item with all its attributes, in DynamoDB's wire form; see `read`."""
        key = {"source": {"S": source}}
        read = partial(self.dynamodb.get_item, TableName=self.table, Key=key, ConsistentRead=True)
        return attempt(read, deadline).get("Item")

    def read_many(self, sources: Sequence[str], deadline: Deadline) -> dict[str, WireItem]:
        """The items of up to 100 distinct objects, by source; those without an item are left out.

        Raises:
            RetryableError: DynamoDB failed, or throttled some of the reads until the time was over.
        """
        found: dict[str, WireItem] = {}
        wanted: KeysAndAttributesTypeDef | KeysAndAttributesOutputTypeDef | None = (
            {"Keys": [{"source": {"S": source}} for source in sources], "ConsistentRead": True} if sources else None
        )
        while wanted:
            read = partial(self._read_batch, found, wanted)
            wanted = attempt(read, deadline)
            if wanted and deadline.left() <= 0:
                raise RetryableError("DynamoDB throttles reads; the time is over")
        return found

    def _read_batch(
        self, found: dict[str, WireItem], wanted: "KeysAndAttributesTypeDef | KeysAndAttributesOutputTypeDef"
    ) -> "KeysAndAttributesOutputTypeDef | None":
        """Add the items of a batch to those that are found; returns what DynamoDB left out.

        Raises:
            RetryableError: it left out everything, which it does when it throttles.
        """
        answer = self.dynamodb.batch_get_item(RequestItems={self.table: wanted})
        items = answer.get("Responses", {}).get(self.table, [])
        found |= {text_of(item, "source") or "": item for item in items}
        rest = answer.get("UnprocessedKeys", {}).get(self.table)
        if rest and not items:
            raise RetryableError("DynamoDB throttles reads")
        return rest
