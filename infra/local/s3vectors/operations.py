"""The supported operations, with their paths, members, permissions and implementations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from infra.local.s3vectors import resources, vectors
from infra.local.s3vectors.buckets import Scope
from infra.local.s3vectors.fields import Fields, Json
from infra.local.s3vectors.references import (
    Needs,
    needs_account,
    needs_bucket,
    needs_index,
    needs_list,
    needs_new_bucket,
    needs_new_index,
    needs_query,
    needs_resource,
)
from infra.local.s3vectors.state import State

_BUCKET = ("vectorBucketName", "vectorBucketArn")
_INDEX = ("vectorBucketName", "indexName", "indexArn")
_PAGE = ("maxResults", "nextToken")


@dataclass(frozen=True)
class Operation:
    """An operation.

    Attributes:
        run: does it; raises S3VectorsError.
        needs: what its caller must be allowed.
        members: of its input.
    """

    run: Callable[[State, Scope, Fields], Json]
    needs: Needs
    members: tuple[str, ...]


OPERATIONS: Mapping[str, Operation] = {
    "CreateVectorBucket": Operation(
        resources.create_vector_bucket, needs_new_bucket, ("vectorBucketName", "encryptionConfiguration", "tags")
    ),
    "GetVectorBucket": Operation(resources.get_vector_bucket, needs_bucket("s3vectors:GetVectorBucket"), _BUCKET),
    "ListVectorBuckets": Operation(
        resources.list_vector_buckets, needs_account("s3vectors:ListVectorBuckets"), (*_PAGE, "prefix")
    ),
    "DeleteVectorBucket": Operation(
        resources.delete_vector_bucket, needs_bucket("s3vectors:DeleteVectorBucket"), _BUCKET
    ),
    "PutVectorBucketDefaultIndexMode": Operation(
        resources.put_default_index_mode,
        needs_bucket("s3vectors:PutVectorBucketDefaultIndexMode"),
        (*_BUCKET, "defaultIndexMode"),
    ),
    "CreateIndex": Operation(
        resources.create_index,
        needs_new_index,
        (
            *_BUCKET,
            "indexName",
            "dataType",
            "dimension",
            "distanceMetric",
            "metadataConfiguration",
            "encryptionConfiguration",
            "tags",
        ),
    ),
    "GetIndex": Operation(resources.get_index, needs_index("s3vectors:GetIndex"), _INDEX),
    "ListIndexes": Operation(
        resources.list_indexes, needs_bucket("s3vectors:ListIndexes"), (*_BUCKET, *_PAGE, "prefix")
    ),
    "DeleteIndex": Operation(resources.delete_index, needs_index("s3vectors:DeleteIndex"), _INDEX),
    "UpdateIndexMode": Operation(
        resources.update_index_mode, needs_index("s3vectors:UpdateIndexMode"), (*_INDEX, "indexMode")
    ),
    "PutVectors": Operation(vectors.put_vectors, needs_index("s3vectors:PutVectors"), (*_INDEX, "vectors")),
    "GetVectors": Operation(
        vectors.get_vectors, needs_index("s3vectors:GetVectors"), (*_INDEX, "keys", "returnData", "returnMetadata")
    ),
    "DeleteVectors": Operation(vectors.delete_vectors, needs_index("s3vectors:DeleteVectors"), (*_INDEX, "keys")),
    "ListVectors": Operation(
        vectors.list_vectors,
        needs_list,
        (*_INDEX, *_PAGE, "segmentCount", "segmentIndex", "returnData", "returnMetadata"),
    ),
    "QueryVectors": Operation(
        vectors.query_vectors,
        needs_query,
        (
            *_INDEX,
            "topK",
            "queryVector",
            "filter",
            "queryMode",
            "returnMetadata",
            "returnDistance",
            "nextToken",
        ),
    ),
    "TagResource": Operation(resources.tag_resource, needs_resource("s3vectors:TagResource"), ("resourceArn", "tags")),
    "UntagResource": Operation(
        resources.untag_resource, needs_resource("s3vectors:UntagResource"), ("resourceArn", "tagKeys")
    ),
    "ListTagsForResource": Operation(
        resources.list_tags, needs_resource("s3vectors:ListTagsForResource"), ("resourceArn",)
    ),
}
