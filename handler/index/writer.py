"""Applies a plan to the indexes of a vector bucket, in as few calls as the limits allow."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from handler.aws.retries import attempt
from handler.aws.sdk.errors import ServiceError
from handler.aws.sdk.s3vectors import MAX_DELETE_KEYS, MAX_GET_KEYS, S3Vectors
from handler.frozen import frozen
from handler.index.metadata import NON_FILTERABLE
from handler.index.names import INDEX_PREFIX, vector_key
from handler.index.plan import Plan
from handler.index.vectors import EncodedVectors, UnusableVectorError, encode_vector, grouped
from handler.results.item import StoredItem
from handler.timing import Deadline

# The codes of S3 Vectors for a request that can never succeed, such as one with a vector of zeros.
_INVALID = frozenset({"ValidationException", "SerializationException"})
_MISSING = "NotFoundException"
_EXISTS = "ConflictException"


@frozen
class RefusedVector:
    """A vector that S3 Vectors refuses permanently.

    Attributes:
        source: of its item.
        reason: why, in one line.
    """

    source: str
    reason: str


@frozen
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


@frozen
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
        if plan.needs_indexes:
            for index in attempt(lambda: self.s3vectors.list_indexes(INDEX_PREFIX), deadline):
                outdated = self._outdated(index, plan.checks_of(index), deadline)
                self._delete(index, plan.deletes_of(index) + outdated, deadline)
        refused: list[RefusedVector] = []
        for index, items in plan.puts.items():
            refused += self._put_items(index, items, deadline)
        put = sum(map(len, plan.puts.values())) - len(refused)
        return Applied(put, len(plan.deletes_everywhere), tuple(refused))

    def _outdated(self, index: str, etags: Mapping[str, str | None], deadline: Deadline) -> list[str]:
        """The keys whose vectors in an index are of other pictures than those with these ETags."""
        keys, found = list(etags), []
        for start in range(0, len(keys), MAX_GET_KEYS):
            some = keys[start : start + MAX_GET_KEYS]
            get = partial(self.s3vectors.get_vectors, index, some, data=False, metadata=True)
            with suppress(ServiceError):  # an index that was dropped meanwhile has no vectors
                found += attempt(get, deadline, expected={_MISSING})
        pictures = {vector["key"]: vector.get("metadata", {}).get("etag") for vector in found}
        return [key for key, etag in pictures.items() if etag not in {None, etags[key]}]

    def _delete(self, index: str, keys: Sequence[str], deadline: Deadline) -> None:
        for start in range(0, len(keys), MAX_DELETE_KEYS):
            delete = partial(self.s3vectors.delete_vectors, index, keys[start : start + MAX_DELETE_KEYS])
            with suppress(ServiceError):  # as above
                attempt(delete, deadline, expected={_MISSING})

    def _put_items(self, index: str, items: Sequence[StoredItem], deadline: Deadline) -> list[RefusedVector]:
        """Put the vectors of items into one index, and delete the earlier vectors of those that are refused."""
        encoded: list[tuple[StoredItem, bytes]] = []
        refused: list[RefusedVector] = []
        for item in items:
            try:
                encoded.append((item, encode_vector(item)))
            except UnusableVectorError as error:
                refused.append(RefusedVector(item.source, str(error)))
        for group in grouped(encoded):
            refused += self._put(index, group, deadline)
        self._delete(index, [vector_key(vector.source) for vector in refused], deadline)
        return refused

    def _put(self, index: str, group: EncodedVectors, deadline: Deadline) -> list[RefusedVector]:
        """Write the vectors of one call; halve a refused call until only the refused vectors are left out."""
        try:
            self._put_or_create(index, group, deadline)
        except ServiceError as error:
            if len(group) == 1:
                return [RefusedVector(group[0][0].source, f"S3 Vectors: {' '.join(error.message.split())[:300]}")]
            middle = len(group) // 2
            return self._put(index, group[:middle], deadline) + self._put(index, group[middle:], deadline)
        return []

    def _put_or_create(self, index: str, group: EncodedVectors, deadline: Deadline) -> None:
        put = partial(self.s3vectors.put_vectors, index, b"[" + b",".join(encoded for _, encoded in group) + b"]")
        try:
            attempt(put, deadline, expected={*_INVALID, _MISSING})
        except ServiceError as error:
            if error.code != _MISSING:
                raise
            self._create(index, group[0][0].embedding_dim or 0, deadline)
            attempt(put, deadline, expected=_INVALID)

    def _create(self, index: str, dimension: int, deadline: Deadline) -> None:
        create = partial(self.s3vectors.create_index, index, dimension, NON_FILTERABLE)
        try:
            attempt(create, deadline, expected={*_INVALID, _EXISTS})
        except ServiceError as error:
            if error.code != _EXISTS:  # another batch created it at the same time
                raise
