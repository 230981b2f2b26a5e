"""The vector bucket or index of a request, and the permissions that its caller needs."""

from collections.abc import Callable
from typing import NamedTuple

from infra.local.s3vectors.buckets import BucketRef, IndexRef, Scope, parse_arn
from infra.local.s3vectors.errors import NotFoundError, ValidationError
from infra.local.s3vectors.fields import Fields
from infra.local.s3vectors.limits import NAME_LENGTH


class Permission(NamedTuple):
    """An action on a resource, for IAM.

    Attributes:
        action: such as `s3vectors:PutVectors`.
        resource: an ARN, or `*`.
    """

    action: str
    resource: str


Needs = Callable[[Scope, Fields], list[Permission]]


def bucket_ref(scope: Scope, fields: Fields) -> BucketRef:
    """The vector bucket of a request: `vectorBucketName` or `vectorBucketArn`.

    Raises:
        ValidationError: both, neither, or no ARN of a vector bucket.
        NotFoundError: it belongs to another account or region.
    """
    if ("vectorBucketName" in fields) == ("vectorBucketArn" in fields):
        raise ValidationError("Must specify either vectorBucketName or vectorBucketArn but not both")
    if "vectorBucketName" in fields:
        return BucketRef(scope, fields.text("vectorBucketName", NAME_LENGTH))
    ref = parse_arn(fields.text("vectorBucketArn"))
    if not isinstance(ref, BucketRef):
        raise ValidationError.at("/vectorBucketArn", "Invalid vector bucket ARN")
    if ref.scope != scope:
        raise NotFoundError("The specified vector bucket could not be found")
    return ref


def index_ref(scope: Scope, fields: Fields) -> IndexRef:
    """The index of a request: `indexArn`, or `vectorBucketName` and `indexName`.

    Raises:
        ValidationError: both, neither, or no ARN of an index.
        NotFoundError: it belongs to another account or region.
    """
    named = [name in fields for name in ("vectorBucketName", "indexName")]
    if "indexArn" in fields and not any(named):
        ref = parse_arn(fields.text("indexArn"))
        if not isinstance(ref, IndexRef):
            raise ValidationError.at("/indexArn", "Invalid index ARN")
        if ref.scope != scope:
            raise NotFoundError("The specified index could not be found")
        return ref
    if "indexArn" not in fields and all(named):
        return IndexRef(scope, fields.text("vectorBucketName", NAME_LENGTH), fields.text("indexName", NAME_LENGTH))
    raise ValidationError("Must specify either indexArn or both vectorBucketName and indexName")


def new_index_ref(scope: Scope, fields: Fields) -> IndexRef:
    """The index that a request is to create."""
    return IndexRef(scope, bucket_ref(scope, fields).bucket, fields.text("indexName", NAME_LENGTH))


def needs_account(action: str) -> Needs:
    """An action on no particular resource."""
    return lambda _scope, _fields: [Permission(action, "*")]


def needs_bucket(action: str) -> Needs:
    """An action on a vector bucket."""
    return lambda scope, fields: [Permission(action, bucket_ref(scope, fields).arn)]


def needs_index(action: str) -> Needs:
    """An action on an index."""
    return lambda scope, fields: [Permission(action, index_ref(scope, fields).arn)]


def needs_resource(action: str) -> Needs:
    """An action on the resource of an ARN."""
    return lambda _scope, fields: [Permission(action, fields.text("resourceArn"))]


def needs_new_bucket(scope: Scope, fields: Fields) -> list[Permission]:
    """The permission for CreateVectorBucket."""
    return _creation("s3vectors:CreateVectorBucket", bucket_ref(scope, fields).arn, fields)


def needs_new_index(scope: Scope, fields: Fields) -> list[Permission]:
    """The permission for CreateIndex."""
    return _creation("s3vectors:CreateIndex", new_index_ref(scope, fields).arn, fields)


def needs_query(scope: Scope, fields: Fields) -> list[Permission]:
    """The permissions for QueryVectors; includes GetVectors if it filters by metadata or returns it."""
    reads = "filter" in fields or fields.flag("returnMetadata")
    return _reading("s3vectors:QueryVectors", index_ref(scope, fields).arn, reads=reads)


def needs_list(scope: Scope, fields: Fields) -> list[Permission]:
    """The permissions for ListVectors; includes GetVectors if it returns more than the keys."""
    reads = fields.flag("returnData") or fields.flag("returnMetadata")
    return _reading("s3vectors:ListVectors", index_ref(scope, fields).arn, reads=reads)


def _creation(action: str, arn: str, fields: Fields) -> list[Permission]:
    tagging = [Permission("s3vectors:TagResource", arn)] if "tags" in fields else []
    return [Permission(action, arn), *tagging]


def _reading(action: str, arn: str, *, reads: bool) -> list[Permission]:
    more = [Permission("s3vectors:GetVectors", arn)] if reads else []
    return [Permission(action, arn), *more]
