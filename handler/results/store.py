"""Results: the immutable JSON in S3, and the item in DynamoDB, which is the commit point."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

import orjson

from handler.aws.clients import Clients, attempt
from handler.aws.sdk.errors import ServiceError
from handler.errors import RetryableError
from handler.jobs import Job
from handler.results.record import (
    ImageEmbedding,
    Record,
    item_of,
    labels_attribute,
    result_json,
    result_key,
    result_prefixes,
    source_of,
    tombstone_of,
    utc_now,
)
from handler.results.sequencing import Basis, Item, Sequenced, Unsequenced, is_superseded, may_replace, text_of
from handler.settings import Settings
from handler.timing import Deadline

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef, PutItemInputTypeDef


T = TypeVar("T")


DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class WrittenResult:
    """Where a JSON is, and whether there was one already."""

    address: str
    existed: bool


@dataclass(frozen=True, slots=True)
class Committed:
    """The item is ours now.

    Attributes:
        result_in_doubt: a clean-up of the tombstone that was there may have taken the JSON since it was written.
    """

    result_in_doubt: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The item stays as it is.

    Attributes:
        superseded: it stands for a newer event; otherwise it says already what we would have said.
        changed: it is not the one that was read first; what was found may be out of date.
        item: the item; None when it is gone.
    """

    superseded: bool
    changed: bool
    item: Item | None

    @property
    def deleted(self) -> bool:
        """Whether it is a tombstone."""
        return text_of(self.item, "status") == DELETED

    def names(self, result: str) -> bool:
        """Whether the item names this JSON."""
        return text_of(self.item, "result") == result


@dataclass(frozen=True, slots=True)
class Store:
    """Writes of one function; every call is idempotent."""

    clients: Clients
    settings: Settings
    now: Callable[[], datetime] = utc_now

    def read(self, bucket: str, key: str, deadline: Deadline) -> Item | None:
        """Read a key's item, strongly consistent; None when there is none."""
        answer = _call(
            lambda: self.clients.dynamodb.get_item(
                TableName=self.settings.table_name,
                Key={"source": {"S": source_of(bucket, key)}},
                ConsistentRead=True,
            ),
            deadline,
        )
        return answer.get("Item")

    def write_result(self, record: Record, deadline: Deadline) -> WrittenResult:
        """Write the JSON if there is none yet."""
        key = result_key(self.settings.results_prefix, record)
        created = self._put_result(key, result_json(record), deadline, replace=False)
        return WrittenResult(source_of(self.settings.results_bucket, key), existed=not created)

    def settle_result(self, record: Record, deadline: Deadline) -> bool:
        """Make sure that the JSON is there and says what the committed item says; whether the item still says so.

        One JSON name can stand for two outcomes: an archived object is rejected first, and embedded once it is
        restored, with one ETag; and a bundle may get other labels. And a clean-up may have taken the JSON between its
        writing and the commit.
        """
        key = result_key(self.settings.results_prefix, record)
        body = result_json(record)
        if not self._put_result(key, body, deadline, replace=False):
            if self._gist(key, deadline) == _gist(body):
                return True
            self._put_result(key, body, deadline, replace=True)
        return says_the_same(self.read(record.bucket, record.key, deadline), record)

    def _put_result(self, key: str, body: bytes, deadline: Deadline, *, replace: bool) -> bool:
        """Whether it was written; it is not when there is one already and it is not to be replaced."""
        bucket = self.settings.results_bucket
        try:
            attempt(
                lambda: self.clients.s3.put_object(bucket, key, body, "application/json", if_absent=not replace),
                deadline,
            )
        except ServiceError as error:
            if error.code in {"PreconditionFailed", "412"}:
                return False
            raise RetryableError(str(error)[:300]) from error
        return True

    def _gist(self, key: str, deadline: Deadline) -> tuple[object, ...] | None:
        def get() -> bytes:
            with self.clients.s3.get_object(self.settings.results_bucket, key) as answer:
                return answer.read()

        try:
            return _gist(attempt(get, deadline))
        except ServiceError as error:
            if error.code == "NoSuchKey":
                return None
            raise RetryableError(str(error)[:300]) from error

    def commit(self, record: Record, result: str, basis: Basis, deadline: Deadline) -> Committed | Refused:
        """Make the record the item of its key, if nothing newer is."""
        item = item_of(record, basis.sequencer, result, self.settings.embedding_dtype, self.now())
        return self._put(item, basis, deadline)

    def bury(self, job: Job, basis: Basis, deadline: Deadline) -> Committed | Refused:
        """Make a tombstone the item of a key that holds nothing, if nothing newer is there."""
        item = tombstone_of(source_of(job.bucket, job.key), basis.sequencer, job.event_id, self.now())
        return self._put(item, basis, deadline)

    def clean(self, bucket: str, key: str, deadline: Deadline) -> bool:
        """Remove every result of a key; whether its item is still a tombstone afterwards."""
        for prefix in result_prefixes(self.settings.results_prefix, bucket, key):
            for child in self._children(prefix, deadline):
                self._remove(child, deadline)
        return text_of(self.read(bucket, key, deadline), "status") == DELETED

    def withdraw(self, record: Record, deadline: Deadline) -> bool:
        """Remove the JSON of a record that lost; whether the item, looked at afterwards, does not name it."""
        key = result_key(self.settings.results_prefix, record)
        self._remove(key, deadline)
        item = self.read(record.bucket, record.key, deadline)
        return text_of(item, "result") != source_of(self.settings.results_bucket, key)

    def _children(self, prefix: str, deadline: Deadline) -> list[str]:
        bucket, keys, token = self.settings.results_bucket, list[str](), None
        while True:
            ask = partial(self.clients.s3.list_objects, bucket, prefix, delimiter="/", token=token)
            page = _call(ask, deadline)
            keys += [entry.key for entry in page.entries]
            token = page.next_token
            if token is None:
                return keys

    def _remove(self, key: str, deadline: Deadline) -> None:
        _call(lambda: self.clients.s3.delete_object(self.settings.results_bucket, key), deadline)

    def _put(self, item: "dict[str, AttributeValueTypeDef]", basis: Basis, deadline: Deadline) -> Committed | Refused:
        tries = 0
        condition = may_replace(basis)
        request: PutItemInputTypeDef = {
            "TableName": self.settings.table_name,
            "Item": item,
            "ConditionExpression": condition.expression,
            "ExpressionAttributeNames": condition.names,
            "ReturnValues": "ALL_OLD",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if condition.values:  # DynamoDB refuses an empty map
            request["ExpressionAttributeValues"] = condition.values

        def put() -> Item | None:
            nonlocal tries
            tries += 1
            return self.clients.dynamodb.put_item(**request).get("Attributes")

        try:
            replaced = attempt(put, deadline)
        except ServiceError as error:
            if error.code != "ConditionalCheckFailedException":
                raise RetryableError(str(error)[:300]) from error
            return self._refused(cast("Item | None", error.fields.get("Item")), item, basis, tries, deadline)
        return Committed(result_in_doubt=text_of(replaced, "status") == DELETED or tries > 1)

    def _refused(
        self,
        winner: Item | None,
        item: "dict[str, AttributeValueTypeDef]",
        basis: Basis,
        tries: int,
        deadline: Deadline,
    ) -> Committed | Refused:
        if tries > 1 and winner == item:  # the first try arrived, only its answer did not
            return Committed(result_in_doubt=True)
        if winner is None or isinstance(basis, Unsequenced):
            return Refused(superseded=False, changed=True, item=winner)
        if is_superseded(basis, winner):
            return Refused(superseded=True, changed=False, item=winner)
        same = all(text_of(winner, name) == text_of(item, name) for name in ("etag", "fingerprint"))
        repeated = same and (text_of(winner, "status") == DELETED) == (text_of(item, "status") == DELETED)
        if repeated and "sequencer" not in winner:
            repeated = self._stamp(winner, basis, deadline)
        return Refused(superseded=False, changed=not repeated, item=winner)

    def _stamp(self, item: Item, basis: Sequenced, deadline: Deadline) -> bool:
        """Give an item that says the right thing already the sequencer it lacks, so that older events stay behind."""
        unchanged = may_replace(Unsequenced(item))

        def update() -> None:
            self.clients.dynamodb.update_item(
                TableName=self.settings.table_name,
                Key={"source": item["source"]},
                UpdateExpression="SET #sequencer = :new",
                ConditionExpression=unchanged.expression,
                ExpressionAttributeNames=unchanged.names,
                ExpressionAttributeValues={**unchanged.values, ":new": {"S": basis.sequencer}},
            )

        try:
            attempt(update, deadline)
        except ServiceError as error:
            if error.code != "ConditionalCheckFailedException":
                raise RetryableError(str(error)[:300]) from error
            return False
        return True


def _call(operation: Callable[[], T], deadline: Deadline) -> T:
    """`attempt`, where no refusal means anything but that a later delivery may fare better."""
    try:
        return attempt(operation, deadline)
    except ServiceError as error:
        raise RetryableError(str(error)[:300]) from error


def says_the_same(item: Item | None, record: Record) -> bool:
    """Whether an item says of its object what the JSON of a record says, as far as one name can stand for either."""
    found = record.outcome
    wanted: tuple[object, ...] = (record.etag, record.error_code, None, None)
    if isinstance(found, ImageEmbedding):
        labels = None if found.labels is None else labels_attribute(found.labels)
        wanted = (record.etag, None, {"BOOL": found.normalized}, labels)
    if item is None or text_of(item, "status") == DELETED:
        return False
    return wanted == (text_of(item, "etag"), text_of(item, "error_code"), item.get("normalized"), item.get("labels"))


def _gist(body: bytes) -> tuple[object, ...] | None:
    """What two results of one name may differ in: the error, whether the vector is normalised, and the labels."""
    try:
        result = orjson.loads(body)
        return result["error_code"], (result["embedding"] or {}).get("normalized"), result.get("labels")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # whatever lies there is no result
