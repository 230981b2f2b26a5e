"""The stored results of one function: JSON in the results bucket, items in the table. One method, one step.

In which order the steps go is the protocol's: `handler.results.protocol`.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from handler.aws.clients import Clients
from handler.aws.retries import attempt
from handler.aws.sdk.errors import ServiceError
from handler.frozen import frozen
from handler.results.item import StoredItem, WireItem, read_item, says_the_same
from handler.results.keys import result_key, result_prefixes, source_of
from handler.results.record import Record, item_of, result_facts, result_json, result_name, tombstone_of, utc_now
from handler.results.sequencing import WriteCondition, expression_of
from handler.settings import Settings
from handler.timing import Deadline

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import PutItemInputTypeDef


@frozen
class Committed:
    """The item was written.

    Attributes:
        replaced: whether there was an item before.
    """

    replaced: bool


@frozen
class Refused:
    """The write's condition was not met.

    Attributes:
        item: the item that is there instead; without any attribute where there is none.
    """

    item: StoredItem


@frozen
class Store:
    """Reads and writes of one function; every call is idempotent.

    Raises (every method):
        RetryableError: AWS failed, or access is denied.
    """

    clients: Clients
    settings: Settings
    now: Callable[[], datetime] = utc_now

    def read(self, bucket: str, key: str, deadline: Deadline) -> StoredItem | None:
        """Read a key's item, strongly consistent; None when there is none."""
        answer = attempt(
            lambda: self.clients.dynamodb.get_item(
                TableName=self.settings.table_name,
                Key={"source": {"S": source_of(bucket, key)}},
                ConsistentRead=True,
            ),
            deadline,
        )
        item = answer.get("Item")
        return None if item is None else read_item(item)

    def item_of(self, record: Record, sequencer: str | None) -> WireItem:
        """The item of a record as it would be written now, with the address of its JSON."""
        address = source_of(self.settings.results_bucket, self._key_of(record))
        return item_of(record, sequencer, address, self.settings.embedding_dtype, self.now())

    def tombstone_of(self, source: str, sequencer: str | None, event_id: str | None) -> WireItem:
        """The item of a key without an object as it would be written now."""
        return tombstone_of(source, sequencer, event_id, self.now())

    def write_item(self, item: WireItem, condition: WriteCondition, deadline: Deadline) -> Committed | Refused:
        """Write an item, if the condition is met."""
        expression = expression_of(condition)
        request: PutItemInputTypeDef = {
            "TableName": self.settings.table_name,
            "Item": item,
            "ConditionExpression": expression.text,
            "ExpressionAttributeNames": expression.names,
            "ReturnValues": "ALL_OLD",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if expression.values:  # DynamoDB refuses an empty map
            request["ExpressionAttributeValues"] = expression.values
        put = partial(self.clients.dynamodb.put_item, **request)
        try:
            answer = attempt(put, deadline, expected={"ConditionalCheckFailedException"})
        except ServiceError as error:
            return Refused(read_item(error.fields.get("Item", {})))
        return Committed(replaced="Attributes" in answer)

    def write_result(self, record: Record, deadline: Deadline) -> bool:
        """Write the JSON of a record if there is none yet; whether it was written."""
        return self._put_result(self._key_of(record), result_json(record), deadline, if_absent=True)

    def settle_result(self, record: Record, item: StoredItem, deadline: Deadline) -> bool:
        """Make sure that the JSON of a committed item is there and says what the item says.

        It may be missing: a clean-up that began before the item was committed may have deleted it. It may say something
        else: an archived object is rejected first and embedded once it is restored, with one ETag; and a bundle may get
        other labels.

        Returns:
            Whether the item still says the same, if the JSON had to be written.
        """
        if self.result_matches(item, deadline):
            return True
        self._put_result(self._key_of(record), result_json(record), deadline, if_absent=False)
        now = self.read(record.bucket, record.key, deadline)
        return now is not None and says_the_same(now, item)

    def result_matches(self, item: StoredItem, deadline: Deadline) -> bool:
        """Whether the JSON that an item names is there and says what the item says."""
        key = (item.result or "").removeprefix(source_of(self.settings.results_bucket, ""))
        return self._facts(key, deadline) == item.result_facts

    def delete_result(self, record: Record, deadline: Deadline) -> bool:
        """Delete the JSON of a record that lost; whether the key's item, read afterwards, does not name it."""
        return self._delete(record.bucket, record.key, [self._key_of(record)], deadline)

    def delete_results(self, bucket: str, key: str, deadline: Deadline) -> bool:
        """Delete every JSON of a key; whether the key's item, read afterwards, names none of them."""
        results = [
            result
            for prefix in result_prefixes(self.settings.results_prefix, bucket, key)
            for result in self._children(prefix, deadline)
        ]
        return self._delete(bucket, key, results, deadline)

    def _key_of(self, record: Record) -> str:
        return result_key(self.settings.results_prefix, record.bucket, record.key, result_name(record))

    def _put_result(self, key: str, body: bytes, deadline: Deadline, *, if_absent: bool) -> bool:
        put = partial(self.clients.s3.put_object, self.settings.results_bucket, key, body, "application/json")
        try:
            attempt(lambda: put(if_absent=if_absent), deadline, expected={"PreconditionFailed", "412"})
        except ServiceError:
            return False
        return True

    def _facts(self, key: str, deadline: Deadline) -> tuple[object, ...] | None:
        def get() -> bytes:
            with self.clients.s3.get_object(self.settings.results_bucket, key) as answer:
                return answer.read()

        try:
            return result_facts(attempt(get, deadline, expected={"NoSuchKey"}))
        except ServiceError:
            return None

    def _children(self, prefix: str, deadline: Deadline) -> Iterable[str]:
        token = None
        while True:
            list_page = partial(self.clients.s3.list_objects, self.settings.results_bucket, prefix, delimiter="/")
            page = attempt(partial(list_page, token=token), deadline)
            yield from (entry.key for entry in page.entries)
            token = page.next_token
            if token is None:
                return

    def _delete(self, bucket: str, key: str, results: list[str], deadline: Deadline) -> bool:
        for result in results:
            attempt(partial(self.clients.s3.delete_object, self.settings.results_bucket, result), deadline)
        item = self.read(bucket, key, deadline)
        addresses = {source_of(self.settings.results_bucket, result) for result in results}
        return item is None or item.result not in addresses
