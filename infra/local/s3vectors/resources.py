"""The operations on vector buckets, indexes and tags."""

import unicodedata
from collections.abc import Mapping

from infra.local.s3vectors.buckets import Bucket, Index, Scope, after_name
from infra.local.s3vectors.errors import ValidationError
from infra.local.s3vectors.fields import Fields, Json, Limits, constraint_error
from infra.local.s3vectors.index import VectorIndex
from infra.local.s3vectors.limits import (
    DIMENSION,
    KMS_KEY_LENGTH,
    LIST_BUCKETS,
    LIST_INDEXES,
    NAME_LENGTH,
    NAME_TOKEN_LENGTH,
    NON_FILTERABLE_KEY_LENGTH,
    NON_FILTERABLE_KEYS,
    TAG_KEY_LENGTH,
    TAG_VALUE_LENGTH,
    TAGS,
)
from infra.local.s3vectors.references import bucket_ref, index_ref, new_index_ref
from infra.local.s3vectors.rows import METRICS
from infra.local.s3vectors.state import State
from infra.local.s3vectors.tokens import decode_name, encode_token

# The mode of every index in a vector bucket made since 2026-09-30; it cannot be changed there.
MODE = "ENHANCED"
MODES = ("CLASSIC", MODE)
_AES256, _KMS = "AES256", "aws:kms"
_TAG_SYMBOLS = "_.:/=+-@"
_PREFIX_LENGTH = (1, NAME_LENGTH[1])


def create_vector_bucket(state: State, scope: Scope, fields: Fields) -> Json:
    """Create an empty vector bucket."""
    ref = bucket_ref(scope, fields)
    state.buckets.add(Bucket(ref, _encryption(fields) or {"sseType": _AES256}, _tags(fields)))
    return {"vectorBucketArn": ref.arn}


def get_vector_bucket(state: State, scope: Scope, fields: Fields) -> Json:
    """Describe a vector bucket."""
    bucket = state.buckets.bucket(bucket_ref(scope, fields))
    more = {"encryptionConfiguration": bucket.encryption, "defaultIndexMode": MODE}
    return {"vectorBucket": _bucket_summary(bucket) | more}


def list_vector_buckets(state: State, scope: Scope, fields: Fields) -> Json:
    """List vector buckets by name."""
    buckets = {bucket.ref.bucket: bucket for bucket in state.buckets.in_scope(scope)}
    names, token = _page(fields, list(buckets), f"{scope.account}/{scope.region}", LIST_BUCKETS)
    return {"vectorBuckets": [_bucket_summary(buckets[name]) for name in names]} | token


def delete_vector_bucket(state: State, scope: Scope, fields: Fields) -> Json:
    """Delete an empty vector bucket."""
    state.buckets.remove(bucket_ref(scope, fields))
    return {}


def put_default_index_mode(state: State, scope: Scope, fields: Fields) -> Json:
    """Set the mode of new indexes; only the current mode is accepted."""
    state.buckets.bucket(bucket_ref(scope, fields))
    _check_mode(fields, "defaultIndexMode")
    return {}


def create_index(state: State, scope: Scope, fields: Fields) -> Json:
    """Create an empty index."""
    ref = new_index_ref(scope, fields)
    fields.choice("dataType", ("float32",))
    vectors = VectorIndex(fields.integer("dimension", DIMENSION), fields.choice("distanceMetric", METRICS))
    bucket = state.buckets.bucket(bucket_ref(scope, fields))
    encryption = _encryption(fields) or bucket.encryption
    state.buckets.add_index(Index(ref, vectors, _non_filterable(fields), encryption, _tags(fields)))
    return {"indexArn": ref.arn}


def get_index(state: State, scope: Scope, fields: Fields) -> Json:
    """Describe an index."""
    index = state.buckets.index(index_ref(scope, fields))
    described = _index_summary(index) | {
        "dataType": "float32",
        "dimension": index.vectors.dimension,
        "distanceMetric": index.vectors.metric,
        "encryptionConfiguration": index.encryption,
        "indexMode": MODE,
    }
    if index.non_filterable:
        described["metadataConfiguration"] = {"nonFilterableMetadataKeys": list(index.non_filterable)}
    return {"index": described}


def list_indexes(state: State, scope: Scope, fields: Fields) -> Json:
    """List the indexes of a vector bucket by name."""
    bucket = state.buckets.bucket(bucket_ref(scope, fields))
    names, token = _page(fields, list(bucket.indexes), bucket.ref.arn, LIST_INDEXES)
    return {"indexes": [_index_summary(bucket.indexes[name]) for name in names]} | token


def delete_index(state: State, scope: Scope, fields: Fields) -> Json:
    """Delete an index and its vectors."""
    state.buckets.remove_index(index_ref(scope, fields))
    return {}


def update_index_mode(state: State, scope: Scope, fields: Fields) -> Json:
    """Set the mode of an index; only its current mode is accepted."""
    state.buckets.index(index_ref(scope, fields))
    _check_mode(fields, "indexMode")
    return {}


def tag_resource(state: State, scope: Scope, fields: Fields) -> Json:
    """Add or overwrite tags."""
    tags = state.buckets.tags(scope, fields.text("resourceArn"))
    new = _tags(fields)
    if len(tags | new) > TAGS:
        raise _too_many_tags()
    tags.update(new)
    return {}


def untag_resource(state: State, scope: Scope, fields: Fields) -> Json:
    """Remove tags."""
    tags = state.buckets.tags(scope, fields.text("resourceArn"))
    for key in fields.texts("tagKeys", (0, TAGS), TAG_KEY_LENGTH):
        tags.pop(key, None)
    return {}


def list_tags(state: State, scope: Scope, fields: Fields) -> Json:
    """The tags of a resource."""
    return {"tags": dict(state.buckets.tags(scope, fields.text("resourceArn")))}


def _bucket_summary(bucket: Bucket) -> Json:
    ref = bucket.ref
    return {"vectorBucketName": ref.bucket, "vectorBucketArn": ref.arn, "creationTime": bucket.created}


def _index_summary(index: Index) -> Json:
    ref = index.ref
    return {
        "vectorBucketName": ref.bucket,
        "indexName": ref.index,
        "indexArn": ref.arn,
        "creationTime": index.created,
    }


def _page(fields: Fields, names: list[str], list_id: str, limits: Limits) -> tuple[list[str], Json]:
    """A page of names, and the member that leads to the next one."""
    size = fields.integer("maxResults", limits) if "maxResults" in fields else limits[1]
    prefix = fields.text("prefix", _PREFIX_LENGTH) if "prefix" in fields else ""
    after = decode_name(fields.text("nextToken", NAME_TOKEN_LENGTH), list_id) if "nextToken" in fields else ""
    left = after_name(names, prefix, after)
    return left[:size], {"nextToken": encode_token(list_id, left[size - 1])} if len(left) > size else {}


def _encryption(fields: Fields) -> Mapping[str, str] | None:
    if "encryptionConfiguration" not in fields:
        return None
    given = fields.structure("encryptionConfiguration")
    kind = given.choice("sseType", (_AES256, _KMS)) if "sseType" in given else _AES256
    if kind == _AES256 and "kmsKeyArn" in given:
        message = "kmsKeyArn must not be specified when sseType is AES256."
        raise ValidationError.at("EncryptionConfiguration", message)
    if kind == _AES256:
        return {"sseType": kind}
    if "kmsKeyArn" not in given:
        message = "kmsKeyArn must be specified when sseType is set to aws:kms"
        raise ValidationError.at("EncryptionConfiguration", message)
    return {"sseType": kind, "kmsKeyArn": given.text("kmsKeyArn", KMS_KEY_LENGTH)}


def _non_filterable(fields: Fields) -> tuple[str, ...]:
    if "metadataConfiguration" not in fields:
        return ()
    configuration = fields.structure("metadataConfiguration")
    keys = configuration.texts("nonFilterableMetadataKeys", NON_FILTERABLE_KEYS, NON_FILTERABLE_KEY_LENGTH)
    return tuple(keys)


def _check_mode(fields: Fields, name: str) -> None:
    if fields.choice(name, MODES) != MODE:
        raise ValidationError.at(name, f"{name} must be {MODE} in a vector bucket created since September 30, 2026")


def _tags(fields: Fields) -> dict[str, str]:
    if "tags" not in fields:
        return {}
    given = fields.structure("tags")
    if len(given.members) > TAGS:
        raise _too_many_tags()
    tags = {key: given.text(key, TAG_VALUE_LENGTH) for key in given.members}
    low, high = TAG_KEY_LENGTH
    for key, value in tags.items():
        if key.lower().startswith("aws:"):
            raise ValidationError("System tags cannot be added/updated by requester")
        if not low <= len(key) <= high or not _is_tag_text(key):
            raise constraint_error("/tags", "Member must satisfy the pattern and the length of tag keys")
        if not _is_tag_text(value):
            raise constraint_error(f"/tags/{key}", "Member must satisfy the pattern of tag values")
    return tags


def _is_tag_text(text: str) -> bool:
    return all(character in _TAG_SYMBOLS or unicodedata.category(character)[0] in "LNZ" for character in text)


def _too_many_tags() -> ValidationError:
    return ValidationError("Too many tags specified")
