"""Vector buckets and their indexes, by account and region, in memory."""

import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from infra.local.s3vectors.errors import ConflictError, NotFoundError, ValidationError
from infra.local.s3vectors.index import VectorIndex

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]*[a-z0-9]")
_INDEX_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*[a-z0-9]")
_ARN = re.compile(r"arn:aws[-a-z0-9]*:s3vectors:([a-z0-9-]+):([0-9]{12}):bucket/([^/]+)(?:/index/([^/]+))?")


@dataclass(frozen=True)
class Scope:
    """The account and the region of a request. Names of vector buckets are unique in each."""

    account: str
    region: str

    def bucket_arn(self, bucket: str) -> str:
        """The ARN of a vector bucket."""
        return f"arn:aws:s3vectors:{self.region}:{self.account}:bucket/{bucket}"

    def index_arn(self, bucket: str, index: str) -> str:
        """The ARN of an index."""
        return f"{self.bucket_arn(bucket)}/index/{index}"


@dataclass(frozen=True)
class BucketRef:
    """Names a vector bucket that may or may not exist."""

    scope: Scope
    bucket: str

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.scope.bucket_arn(self.bucket)


@dataclass(frozen=True)
class IndexRef:
    """Names an index that may or may not exist."""

    scope: Scope
    bucket: str
    index: str

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.scope.index_arn(self.bucket, self.index)


def parse_arn(arn: str) -> BucketRef | IndexRef | None:
    """The resource that an ARN names; None if it is not an ARN of S3 Vectors."""
    parts = _ARN.fullmatch(arn)
    if not parts:
        return None
    region, account, bucket, index = parts.groups()
    scope = Scope(account, region)
    return BucketRef(scope, bucket) if index is None else IndexRef(scope, bucket, index)


@dataclass
class Index:
    """An index and its settings, which never change.

    Attributes:
        ref: its name.
        vectors: what is in it.
        non_filterable: metadata keys that filters cannot use, as given.
        encryption: its own `encryptionConfiguration`, else its bucket's.
        tags: by key.
        created: epoch seconds.
        identity: unlike the name, never used again.
    """

    ref: IndexRef
    vectors: VectorIndex
    non_filterable: tuple[str, ...]
    encryption: Mapping[str, str]
    tags: dict[str, str]
    created: float = field(default_factory=time.time)
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass
class Bucket:
    """A vector bucket.

    Attributes:
        ref: its name.
        encryption: its `encryptionConfiguration`.
        tags: by key.
        created: epoch seconds.
        indexes: by name.
    """

    ref: BucketRef
    encryption: Mapping[str, str]
    tags: dict[str, str]
    created: float = field(default_factory=time.time)
    indexes: dict[str, Index] = field(default_factory=dict)


@dataclass
class Buckets:
    """All vector buckets."""

    _buckets: dict[BucketRef, Bucket] = field(default_factory=dict)

    def add(self, bucket: Bucket) -> None:
        """Add a vector bucket.

        Raises:
            ValidationError: such a name is not allowed.
            ConflictError: the name is taken.
        """
        if not _BUCKET_NAME.fullmatch(bucket.ref.bucket):
            raise ValidationError("Invalid vector bucket name")
        if bucket.ref in self._buckets:
            raise ConflictError("A vector bucket with the specified name already exists")
        self._buckets[bucket.ref] = bucket

    def bucket(self, ref: BucketRef) -> Bucket:
        """A vector bucket.

        Raises:
            NotFoundError: it does not exist.
        """
        try:
            return self._buckets[ref]
        except KeyError:
            raise NotFoundError("The specified vector bucket could not be found") from None

    def remove(self, ref: BucketRef) -> None:
        """Remove an empty vector bucket.

        Raises:
            NotFoundError: it does not exist.
            ConflictError: it still has indexes.
        """
        if self.bucket(ref).indexes:
            raise ConflictError("The specified vector bucket is not empty")
        del self._buckets[ref]

    def in_scope(self, scope: Scope) -> Iterator[Bucket]:
        """The vector buckets of an account and region."""
        return (bucket for ref, bucket in self._buckets.items() if ref.scope == scope)

    def add_index(self, index: Index) -> None:
        """Add an index to its vector bucket.

        Raises:
            ValidationError: such a name is not allowed.
            NotFoundError: the vector bucket does not exist.
            ConflictError: the name is taken.
        """
        ref = index.ref
        if not _INDEX_NAME.fullmatch(ref.index):
            raise ValidationError("Invalid index name")
        indexes = self.bucket(BucketRef(ref.scope, ref.bucket)).indexes
        if ref.index in indexes:
            raise ConflictError("An index with the specified name already exists")
        indexes[ref.index] = index

    def index(self, ref: IndexRef) -> Index:
        """An index.

        Raises:
            NotFoundError: it does not exist.
        """
        bucket = self._buckets.get(BucketRef(ref.scope, ref.bucket))
        if bucket is None or ref.index not in bucket.indexes:
            raise NotFoundError("The specified index could not be found")
        return bucket.indexes[ref.index]

    def remove_index(self, ref: IndexRef) -> None:
        """Remove an index with all its vectors.

        Raises:
            NotFoundError: it does not exist.
        """
        self.index(ref)
        del self._buckets[BucketRef(ref.scope, ref.bucket)].indexes[ref.index]

    def tags(self, scope: Scope, arn: str) -> dict[str, str]:
        """The tags of a resource of an account and region, to read and to change.

        Raises:
            NotFoundError: it does not exist.
        """
        ref = parse_arn(arn)
        if ref is None or ref.scope != scope:
            raise NotFoundError("The specified resource could not be found")
        return self.bucket(ref).tags if isinstance(ref, BucketRef) else self.index(ref).tags


def after_name(names: Iterable[str], prefix: str, after: str) -> list[str]:
    """Names with a prefix that come after another one, in order."""
    return sorted(name for name in names if name.startswith(prefix) and name > after)
