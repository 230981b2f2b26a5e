"""Reads items of the table for the API."""

from dataclasses import dataclass

from handler.aws.clients import attempt
from handler.aws.sdk.dynamodb import DynamoDB
from handler.aws.sdk.errors import ServiceError
from handler.errors import RetryableError
from handler.results.item import StoredItem, read_item
from handler.timing import Deadline


@dataclass(frozen=True, slots=True)
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
        try:
            answer = attempt(lambda: self.dynamodb.get_item(TableName=self.table, Key=key), deadline)  # type: ignore[typeddict-item]
        except ServiceError as error:
            raise RetryableError(str(error)[:300]) from error
        return read_item(answer.get("Item"))
