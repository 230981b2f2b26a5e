"""Reads items of the table for the API."""

from functools import partial

from handler.aws.clients import attempt
from handler.aws.sdk.dynamodb import DynamoDB
from handler.frozen import frozen
from handler.results.item import StoredItem, read_item
from handler.timing import Deadline


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
        key = {"source": {"S": source}}
        read = partial(self.dynamodb.get_item, TableName=self.table, Key=key, ConsistentRead=True)
        answer = attempt(read, deadline)
        item = answer.get("Item")
        return None if item is None else read_item(item)
