"""Applies a plan to the indexes of a vector bucket, in as few calls as the limits allow."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from handler.aws.clients import attempt
from handler.aws.sdk.errors import ServiceError
from handler.aws.sdk.s3vectors import MAX_DELETE_KEYS, MAX_DIMENSION, S3Vectors
from handler.index.metadata import NON_FILTERABLE
from handler.index.names import INDEX_PREFIX, vector_key
from handler.index.plan import Plan
from handler.index.vectors import EncodedVectors, encode_vector, grouped
from handler.results.item import StoredItem
from handler.timing import Deadline

# The code of S3 Vectors for a request that can never succeed, such as one with a vector of zeros.
_INVALID = "ValidationException"
_MISSING = "NotFoundException"
_EXISTS = "ConflictException"


@dataclass(frozen=True, slots=True)
class RefusedVector:
    """A vector that S3 Vectors refuses permanently.

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
    refused: tuple[RefusedVector, ...]


@dataclass(frozen=True, slots=True)
class IndexWriter:
    """Writes to the indexes of one vector bucket; every call can be repeated.

    Attributes:
        s3vectors: the client of that bucket.
    """

    s3vectors: S3Vectors

    def apply(self, plan: Plan, deadline: Deadline) -> Applied:
        """Delete the vectors that no longer belong into an index, then put those that do.

        Raises:
            RetryableError: a call failed until the attempts or the time ran out; the batch must be delivered again.
        """
        if plan.deletes:
            for index in attempt(lambda: self.s3vectors.list_indexes(INDEX_PREFIX), deadline):
                self._delete(index, plan.deletes_of(index), deadline)
        refused: list[RefusedVector] = []
        for index, items in plan.puts.items():
            refused += self._put_all(index, items, deadline)
        put = sum(map(len, plan.puts.values())) - len(refused)
        return Applied(put, len(plan.deletes_everywhere), tuple(refused))

    def _put_all(self, index: str, items: Sequence[StoredItem], deadline: Deadline) -> list[RefusedVector]:
        dimension = items[0].embedding_dim or 0
        if dimension > MAX_DIMENSION:  # there is no such index, and there never will be
            reason = f"it has {dimension} numbers, and S3 Vectors accepts at most {MAX_DIMENSION}"
            return [RefusedVector(item.source, reason) for item in items]
        refused: list[RefusedVector] = []
        for group in grouped([(item, encode_vector(item)) for item in items]):
            refused += self._put(index, group, deadline)
        self._delete(index, [vector_key(vector.source) for vector in refused], deadline)  # the earlier picture's
        return refused

    def _delete(self, index: str, keys: Sequence[str], deadline: Deadline) -> None:
        for start in range(0, len(keys), MAX_DELETE_KEYS):
            delete = partial(self.s3vectors.delete_vectors, index, keys[start : start + MAX_DELETE_KEYS])
            with suppress(ServiceError):  # an index that was dropped meanwhile has no vectors
                attempt(delete, deadline, expected={_MISSING})

    def _put(self, index: str, group: EncodedVectors, deadline: Deadline) -> list[RefusedVector]:
        """Write the vectors of one call; halve a refused call until only the refused vectors are left out."""
        try:
            self._put_or_create(index, group, deadline)
        except ServiceError as error:
            if len(group) == 1:
                return [RefusedVector(group[0][0].source, error.message)]
            middle = len(group) // 2
            return self._put(index, group[:middle], deadline) + self._put(index, group[middle:], deadline)
        return []

    def _put_or_create(self, index: str, group: EncodedVectors, deadline: Deadline) -> None:
        put = partial(self.s3vectors.put_vectors, index, b"[" + b",".join(encoded for _, encoded in group) + b"]")
        try:
            attempt(put, deadline, expected={_INVALID, _MISSING})
        except ServiceError as error:
            if error.code == _INVALID:
                raise
            self._create(index, group[0][0].embedding_dim or 0, deadline)
            attempt(put, deadline, expected={_INVALID})

    def _create(self, index: str, dimension: int, deadline: Deadline) -> None:
        create = partial(self.s3vectors.create_index, index, dimension, NON_FILTERABLE)
        with suppress(ServiceError):  # another batch created it at the same time
            attempt(create, deadline, expected={_EXISTS})
