"""Applies a plan to the indexes of a vector bucket, in as few calls as the limits allow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from handler.aws.clients import attempt
from handler.aws.sdk.errors import ServiceError
from handler.aws.sdk.s3vectors import MAX_DELETE_KEYS, S3Vectors
from handler.errors import RetryableError
from handler.index.metadata import NON_FILTERABLE
from handler.index.names import INDEX_PREFIX
from handler.index.plan import Plan
from handler.index.vectors import encode_vector, in_calls
from handler.results.item import StoredItem
from handler.timing import Deadline

T = TypeVar("T")

# S3 Vectors' word for a request that is wrong in itself, such as one with a vector of zeros: the same request fails
# again, so its vectors are halved until the wrong one is found.
_INVALID = "ValidationException"
_MISSING = "NotFoundException"
_EXISTS = "ConflictException"


@dataclass(frozen=True, slots=True)
class Refused:
    """A vector that S3 Vectors refuses, whatever is tried.

    Attributes:
        source: of its item.
        reason: S3 Vectors' message.
    """

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Applied:
    """What a plan did.

    Attributes:
        put: vectors written.
        deleted: keys deleted from at least one index.
        refused: vectors that are in no index.
    """

    put: int
    deleted: int
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True)
class IndexWriter:
    """Writes to the indexes of one vector bucket; every call can be repeated.

    Attributes:
        s3vectors: the client of that bucket.
    """

    s3vectors: S3Vectors

    def apply(self, plan: Plan, deadline: Deadline) -> Applied:
        """Delete what no longer belongs into an index, then put what does.

        Raises:
            RetryableError: a call failed until the attempts or the time ran out; the batch must come again.
        """
        if plan.deletes:
            for index in _call(lambda: self.s3vectors.list_indexes(INDEX_PREFIX), deadline):
                self._delete(index, plan.deletes_of(index), deadline)
        refused: list[Refused] = []
        for index, items in plan.puts.items():
            refused += self._put(index, items, deadline)
        put = sum(map(len, plan.puts.values())) - len(refused)
        return Applied(put, len(plan.deletes_everywhere), tuple(refused))

    def _delete(self, index: str, keys: Sequence[str], deadline: Deadline) -> None:
        for start in range(0, len(keys), MAX_DELETE_KEYS):
            part = keys[start : start + MAX_DELETE_KEYS]
            try:
                attempt(lambda part=part: self.s3vectors.delete_vectors(index, part), deadline)  # type: ignore[misc]
            except ServiceError as error:
                if error.code != _MISSING:  # an index that was dropped meanwhile holds nothing
                    raise _retryable(error) from error

    def _put(self, index: str, items: Sequence[StoredItem], deadline: Deadline) -> list[Refused]:
        sources = iter([item.source for item in items])
        refused: list[Refused] = []
        for call in in_calls(map(encode_vector, items)):
            refused += self._put_call(index, [(next(sources), vector) for vector in call], items[0], deadline)
        return refused

    def _put_call(
        self, index: str, vectors: Sequence[tuple[str, bytes]], sample: StoredItem, deadline: Deadline
    ) -> list[Refused]:
        """Write the vectors of one call; halve it where it is refused, until only the refused ones are left out."""
        body = b"[" + b",".join(vector for _, vector in vectors) + b"]"
        try:
            self._put_or_create(index, body, sample, deadline)
        except ServiceError as error:
            if error.code != _INVALID:
                raise _retryable(error) from error
            if len(vectors) == 1:
                return [Refused(vectors[0][0], error.message)]
            middle = len(vectors) // 2
            halves = (vectors[:middle], vectors[middle:])
            return [refused for half in halves for refused in self._put_call(index, half, sample, deadline)]
        return []

    def _put_or_create(self, index: str, body: bytes, sample: StoredItem, deadline: Deadline) -> None:
        try:
            attempt(lambda: self.s3vectors.put_vectors(index, body), deadline)
        except ServiceError as error:
            if error.code != _MISSING:
                raise
            self._create(index, sample.embedding_dim or 0, deadline)
            attempt(lambda: self.s3vectors.put_vectors(index, body), deadline)

    def _create(self, index: str, dimension: int, deadline: Deadline) -> None:
        try:
            attempt(lambda: self.s3vectors.create_index(index, dimension, NON_FILTERABLE), deadline)
        except ServiceError as error:
            if error.code != _EXISTS:  # another batch was first
                raise


def _call(operation: Callable[[], T], deadline: Deadline) -> T:
    try:
        return attempt(operation, deadline)
    except ServiceError as error:
        raise _retryable(error) from error


def _retryable(error: ServiceError) -> RetryableError:
    return RetryableError(str(error)[:300])
