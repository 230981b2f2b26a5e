"""The stack's S3 vector bucket, which is retained, and cannot be deleted while it has indexes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.deploy.account import Account

if TYPE_CHECKING:
    from collections.abc import Mapping

VECTOR_BUCKET_TYPE = "AWS::S3Vectors::VectorBucket"


def index_names(aws: Account, bucket: str) -> list[str]:
    """The names of a vector bucket's indexes; none if the bucket does not exist."""
    try:
        return list(_index_names(aws, bucket))
    except aws.s3vectors.exceptions.NotFoundException:
        return []


def _index_names(aws: Account, bucket: str) -> Iterator[str]:
    token: Mapping[str, str] = {}
    while True:
        page = aws.s3vectors.list_indexes(vectorBucketName=bucket, **token)
        yield from (index["indexName"] for index in page["indexes"])
        if not page.get("nextToken"):
            return
        token = {"nextToken": page["nextToken"]}


def drop(aws: Account, bucket: str) -> None:
    """Delete a vector bucket with all of its indexes."""
    for name in index_names(aws, bucket):
        aws.s3vectors.delete_index(vectorBucketName=bucket, indexName=name)
        print(f"Deleted the index {name}.")
    try:
        aws.s3vectors.delete_vector_bucket(vectorBucketName=bucket)
    except aws.s3vectors.exceptions.NotFoundException:
        return
    print(f"Deleted the vector bucket {bucket}.")
