"""The calls of Amazon S3 Vectors that the functions make: REST with JSON, one path for each operation.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_S3_Vectors.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from handler.aws.sdk.endpoints import EndpointResolver
from handler.aws.sdk.errors import InvalidResponseError, ServiceError
from handler.aws.sdk.signed_client import SignedClient
from handler.aws.sdk.signing import UnsignedRequest
from handler.frozen import frozen

# Limits of one call, from the service's quotas:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-limitations.html
MAX_PUT_VECTORS = MAX_DELETE_KEYS = 500
MAX_GET_KEYS = 100
MAX_LISTED_INDEXES = 500
MAX_TOP_K = 10_000
MAX_BODY_BYTES = 20 * 1024 * 1024
MAX_DIMENSION = 4096


@frozen
class QueryPage:
    """One page of a query's answer.

    Attributes:
        vectors: as S3 Vectors gives them (`key`, `distance`, `metadata`), nearest first.
        next_token: asks for the next page; None on the last one.
    """

    vectors: tuple[dict[str, Any], ...]
    next_token: str | None


@frozen
class S3Vectors:
    """The indexes of one vector bucket; safe to use from several threads.

    Every method raises `SdkError`: a `ServiceError` where the service refuses, such as `NotFoundException` (404) for
    an index that does not exist, and others where there is no usable answer.

    Attributes:
        client: signs and sends.
        endpoints: the endpoint and the region.
        bucket: the vector bucket's name.
    """

    client: SignedClient
    endpoints: EndpointResolver
    bucket: str

    def create_index(self, index: str, dimension: int, non_filterable: Sequence[str]) -> None:
        """Create an index for float32 vectors under cosine distance.

        Args:
            index: its name, 3 to 63 characters.
            dimension: 1 to 4,096.
            non_filterable: metadata keys that filters cannot use; fixed once the index exists.
        """
        self._call(
            "CreateIndex",
            index,
            dataType="float32",
            dimension=dimension,
            distanceMetric="cosine",
            metadataConfiguration={"nonFilterableMetadataKeys": list(non_filterable)},
        )

    def list_indexes(self, prefix: str) -> list[str]:
        """The names of all indexes that begin with a prefix."""
        names: list[str] = []
        token: dict[str, str] = {}
        while True:
            answer = self._call("ListIndexes", None, prefix=prefix, maxResults=MAX_LISTED_INDEXES, **token)
            names += [entry["indexName"] for entry in answer.get("indexes", [])]
            if not answer.get("nextToken"):
                return names
            token = {"nextToken": answer["nextToken"]}

    def put_vectors(self, index: str, body: bytes) -> None:
        """Write vectors, replacing those of the same keys.

        Args:
            index: its name.
            body: the JSON list of `PutVectors`' field `vectors`, already encoded: at most 500 vectors.
        """
        head = orjson.dumps({"vectorBucketName": self.bucket, "indexName": index})
        self._send("PutVectors", b"".join((head[:-1], b',"vectors":', body, b"}")))

    def delete_vectors(self, index: str, keys: Sequence[str]) -> None:
        """Delete vectors by key, at most 500; keys that do not exist are no error."""
        self._call("DeleteVectors", index, keys=list(keys))

    def get_vectors(self, index: str, keys: Sequence[str], *, data: bool, metadata: bool) -> list[dict[str, Any]]:
        """Read vectors by key, at most 100; those that do not exist are left out.

        Args:
            index: its name.
            keys: of the vectors.
            data: whether to return the numbers, as `{"float32": [...]}` in `data`.
            metadata: whether to return `metadata`.
        """
        answer = self._call("GetVectors", index, keys=list(keys), returnData=data, returnMetadata=metadata)
        vectors: list[dict[str, Any]] = answer.get("vectors", [])
        return vectors

    def query_vectors(
        self,
        index: str,
        vector: Sequence[float],
        top_k: int,
        filters: Mapping[str, Any] | None = None,
        token: str | None = None,
    ) -> QueryPage:
        """Find the nearest vectors, with their distances and metadata.

        Args:
            index: its name.
            vector: the query, of the index's dimension.
            top_k: how many in all, 1 to 10,000; a page may hold fewer.
            filters: S3 Vectors' filter document.
            token: `next_token` of the page before.
        """
        optional = {"filter": filters, "nextToken": token}
        answer = self._call(
            "QueryVectors",
            index,
            topK=top_k,
            queryVector={"float32": list(vector)},
            returnDistance=True,
            returnMetadata=True,
            **{name: value for name, value in optional.items() if value is not None},
        )
        return QueryPage(tuple(answer.get("vectors", [])), answer.get("nextToken") or None)

    def _call(self, operation: str, index: str | None, **fields: object) -> dict[str, Any]:
        where = {"vectorBucketName": self.bucket} | ({} if index is None else {"indexName": index})
        return self._send(operation, orjson.dumps(where | fields))

    def _send(self, operation: str, body: bytes) -> dict[str, Any]:
        request = UnsignedRequest("POST", f"/{operation}", (), {"content-type": "application/json"}, body)
        address, region = self.endpoints.s3vectors(), self.endpoints.region
        with self.client.send(address, request, service="s3vectors", region=region) as answer:
            content, code = answer.read(), answer.header("x-amzn-errortype")
        fields = _fields(content)
        if answer.status != 200:
            raise _error(operation, answer.status, code, fields or {})
        if fields is None:
            raise InvalidResponseError(f"{operation}: the answer is not a JSON object")
        return fields


def _fields(content: bytes) -> dict[str, Any] | None:
    try:
        fields = orjson.loads(content or b"{}")
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _error(operation: str, status: int, code: str | None, fields: Mapping[str, Any]) -> ServiceError:
    """The error's code is in a header, `Code:http://…` or plain, or in the body as `__type`."""
    name = (code or str(fields.get("__type") or "")).partition(":")[0].rpartition("#")[2]
    message = str(fields.get("message") or fields.get("Message") or "")
    return ServiceError(operation, status, name or str(status), message, fields)
