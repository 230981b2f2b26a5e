"""The indexes of a stack's vector bucket."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from handler.aws.sdk.s3vectors import MAX_GET_KEYS
from handler.index.names import INDEX_PREFIX, vector_key
from infra.common.errors import OperatorError
from infra.operate.stack import VECTOR_BUCKET, DeployedStack

# Segments of a listing that are read in parallel; S3 Vectors allows 16.
_SEGMENTS = 8
_PAGE = 1000

# A vector as S3 Vectors returns it: `key`, and where it was asked for `data` and `metadata`.
WireVector = dict[str, Any]


@dataclass(frozen=True)
class Index:
    """One index.

    Attributes:
        name: as `handler.index.names.index_name` makes it of a fingerprint.
        dimension: of its vectors.
        created_at: ISO 8601, UTC.
    """

    name: str
    dimension: int
    created_at: str

    @property
    def fingerprint(self) -> str:
        """The first digits of its model's fingerprint."""
        return self.name.removeprefix(INDEX_PREFIX)


@dataclass(frozen=True)
class Indexes:
    """The indexes of one vector bucket.

    Attributes:
        client: boto3's, of S3 Vectors.
        bucket: the vector bucket's name.
    """

    client: Any
    bucket: str

    def find_all(self) -> list[Index]:
        """All indexes of dropvec, by name."""
        pages = self.client.get_paginator("list_indexes").paginate(vectorBucketName=self.bucket, prefix=INDEX_PREFIX)
        names = [entry["indexName"] for page in pages for entry in page["indexes"]]
        return [self._describe(name) for name in sorted(names)]

    def _describe(self, name: str) -> Index:
        index = self.client.get_index(vectorBucketName=self.bucket, indexName=name)["index"]
        return Index(name, index["dimension"], index["creationTime"].strftime("%Y-%m-%dT%H:%M:%SZ"))

    def pages(self, index: str, *, data: bool = False, metadata: bool = False) -> Iterator[Sequence[WireVector]]:
        """All vectors of an index, page by page in any order; at most one page for each segment is in memory."""
        request = {"vectorBucketName": self.bucket, "indexName": index, "maxResults": _PAGE, "segmentCount": _SEGMENTS}

        def read(segment: int, token: str | None) -> Any:  # noqa: ANN401 - an answer of boto3
            more = {} if token is None else {"nextToken": token}
            return self.client.list_vectors(
                **request, segmentIndex=segment, returnData=data, returnMetadata=metadata, **more
            )

        with ThreadPoolExecutor(_SEGMENTS, thread_name_prefix="vectors") as pool:
            running: dict[Future[Any], int] = {pool.submit(read, number, None): number for number in range(_SEGMENTS)}
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    segment = running.pop(future)
                    answer = future.result()
                    if answer.get("nextToken"):
                        running[pool.submit(read, segment, answer["nextToken"])] = segment
                    yield answer["vectors"]

    def get(self, index: str, keys: Sequence[str], *, data: bool = False, metadata: bool = False) -> list[WireVector]:
        """Those of the vectors that are in an index; none where the index was dropped meanwhile."""
        found: list[WireVector] = []
        for start in range(0, len(keys), MAX_GET_KEYS):
            try:
                answer = self.client.get_vectors(
                    vectorBucketName=self.bucket,
                    indexName=index,
                    keys=list(keys[start : start + MAX_GET_KEYS]),
                    returnData=data,
                    returnMetadata=metadata,
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "NotFoundException":
                    raise
                return []
            found += answer["vectors"]
        return found

    def holding(self, source: str, names: Collection[str] | None = None) -> list[str]:
        """The names of the indexes that have a vector of an object.

        Args:
            source: `s3://bucket/key`.
            names: of the indexes to ask; None for all.
        """
        asked = [index.name for index in self.find_all()] if names is None else names
        return [name for name in asked if self.get(name, [vector_key(source)])]

    def remove(self, index: str, source: str) -> None:
        """Delete the vector of an object from one index."""
        self.client.delete_vectors(vectorBucketName=self.bucket, indexName=index, keys=[vector_key(source)])

    def delete(self, index: str) -> None:
        """Delete an index with all of its vectors."""
        self.client.delete_index(vectorBucketName=self.bucket, indexName=index)


def find_indexes(stack: DeployedStack) -> Indexes | None:
    """The indexes of a stack; None where it has no search."""
    bucket = stack.find_resource(VECTOR_BUCKET)
    return None if bucket is None else Indexes(stack.s3vectors, bucket)


def require_indexes(stack: DeployedStack) -> Indexes:
    """The indexes of a stack.

    Raises:
        OperatorError: the stack has no search.
    """
    indexes = find_indexes(stack)
    if indexes is None:
        raise OperatorError(search_off(stack))
    return indexes


def search_off(stack: DeployedStack) -> str:
    """Why a stack cannot search, and what to do."""
    name = stack.ref.stack
    return f"the stack {name} has no search (search_off): run `deploy --stack {name} --set Search=true`"
