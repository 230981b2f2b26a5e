"""Indexes of vectors for tests: the functions' own client, answered by the stand-in without a socket between them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from handler.aws.sdk.endpoints import EndpointResolver
from handler.aws.sdk.errors import NetworkError
from handler.aws.sdk.s3vectors import S3Vectors as VectorClient
from handler.aws.sdk.signing import UnsignedRequest
from infra.local.s3vectors.errors import S3VectorsError
from infra.local.s3vectors.fields import Json
from infra.local.s3vectors.service import Call, Proceed, Request, Response, S3Vectors
from tests.support.s3vectors_server import SCOPE

VECTORS = "dropvec-vectors"


@dataclass
class _Answer:
    """What `HttpResponse` has."""

    response: Response

    @property
    def status(self) -> int:
        return self.response.status

    def header(self, name: str) -> str | None:
        return self.response.headers.get(name)

    def read(self) -> bytes:
        return self.response.body


@dataclass
class _Direct:
    """Sends requests to the stand-in instead of signing them."""

    service: "Indexes"

    @contextmanager
    def send(self, _endpoint: object, request: UnsignedRequest, *, service: str, region: str) -> Iterator[_Answer]:
        assert (service, region) == ("s3vectors", SCOPE.region)
        answer = self.service.stand_in.answer(Request(SCOPE, request.method, request.path, {}, request.body))
        if self.service.lost:
            self.service.lost = False
            raise NetworkError("lost")
        yield _Answer(answer)


@dataclass
class Indexes:
    """A vector bucket in memory.

    Attributes:
        calls: operation and members of every call.
        before: called before each call with its operation; may raise an `S3VectorsError` instead of it.
        lost: whether the next answer gets lost.
    """

    calls: list[tuple[str, Json]] = field(default_factory=list)
    before: Callable[[str, Json], None] = lambda _operation, _members: None
    lost: bool = False
    stand_in: S3Vectors = field(init=False)
    client: VectorClient = field(init=False)
    _operating: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.stand_in = S3Vectors(self._intercept)
        self.operate("CreateVectorBucket")
        resolver = EndpointResolver(
            SCOPE.region, fips=False, dualstack=False, custom_s3=None, custom_dynamodb=None, custom_s3vectors=None
        )
        self.client = VectorClient(cast("Any", _Direct(self)), resolver, VECTORS)

    def _intercept(self, call: Call, proceed: Proceed) -> Json:
        if not self._operating:
            self.calls.append((call.operation, call.members))
            self.before(call.operation, call.members)
        return proceed()

    def operate(self, operation: str, **members: Any) -> Json:
        """A call of the operator's, which is neither recorded nor disturbed."""
        self._operating = True
        try:
            return self.stand_in.call(Call(operation, SCOPE, {"vectorBucketName": VECTORS, **members}))
        finally:
            self._operating = False

    def names(self) -> list[str]:
        """The indexes that exist."""
        return [entry["indexName"] for entry in self.operate("ListIndexes")["indexes"]]

    def vectors(self, index: str) -> dict[str, Mapping[str, Any]]:
        """Everything in an index by key: `data` float32 array, and `metadata`."""
        found: dict[str, Mapping[str, Any]] = {}
        token: dict[str, str] = {}
        while True:
            page = self.operate("ListVectors", indexName=index, returnData=True, returnMetadata=True, **token)
            found |= {entry["key"]: {**entry, "data": entry["data"]["float32"]} for entry in page["vectors"]}
            if "nextToken" not in page:
                return found
            token = {"nextToken": page["nextToken"]}

    def operations(self) -> list[str]:
        """The operations that were called, in order."""
        return [operation for operation, _ in self.calls]


def failing(error: S3VectorsError, *operations: str, times: int = 1) -> Callable[[str, Json], None]:
    """Refuse the first calls of some operations."""
    left = [times]

    def before(operation: str, _members: Json) -> None:
        if operation in operations and left[0]:
            left[0] -= 1
            raise error

    return before


def size_of(members: Json) -> int:
    """The bytes of a call's body."""
    return len(orjson.dumps(members, option=orjson.OPT_SERIALIZE_NUMPY))
