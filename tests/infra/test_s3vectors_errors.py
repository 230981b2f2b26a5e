"""What S3 Vectors refuses, in its own words as far as they are known; and errors that a test asks for."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from infra.local.s3vectors.errors import RequestTimeoutError, S3VectorsError, TooManyRequestsError
from infra.local.s3vectors.fields import Json
from infra.local.s3vectors.index import Hit
from infra.local.s3vectors.service import Call, Proceed, Request, S3Vectors
from infra.local.s3vectors.tokens import QuerySessions
from tests.support.s3vectors_server import SCOPE, s3vectors_client, s3vectors_server

WHERE = {"vectorBucketName": "bucket", "indexName": "index"}
INDEX_ARN = "arn:aws:s3vectors:us-east-1:000000000000:bucket/bucket/index/index"
VECTOR = {"float32": [1, 0]}


@pytest.fixture(scope="module")
def service() -> S3Vectors:
    made = S3Vectors()
    ask(made, "CreateVectorBucket", vectorBucketName="bucket")
    ask(made, "CreateIndex", **index_settings())
    return made


def index_settings(**changed: Any) -> Json:
    settings = {
        **WHERE,
        "dataType": "float32",
        "dimension": 2,
        "distanceMetric": "cosine",
        "metadataConfiguration": {"nonFilterableMetadataKeys": ["hidden"]},
    }
    return {name: value for name, value in (settings | changed).items() if value is not None}


def ask(service: S3Vectors, operation: str, **members: Any) -> tuple[int, str, Json]:
    """The status, the error's name and the body of an answer."""
    return post(service, f"/{operation}", json.dumps(members).encode())


def post(service: S3Vectors, path: str, body: bytes, method: str = "POST") -> tuple[int, str, Json]:
    response = service.answer(Request(SCOPE, method, path, {}, body))
    return response.status, response.headers.get("x-amzn-errortype", ""), json.loads(response.body)


def constraint(path: str, rule: str, length: int | None = None) -> str:
    value = "Value" if length is None else f"Value with length {length}"
    return f"1 validation error detected. {value} at '{path}' failed to satisfy constraint: Member must {rule}"


NAME = "have length between 3 and 63, inclusive"
INVALID: list[tuple[str, Json, str]] = [
    ("CreateVectorBucket", {}, "Must specify either vectorBucketName or vectorBucketArn but not both"),
    ("CreateVectorBucket", {"vectorBucketName": "ab"}, constraint("/vectorBucketName", NAME, 2)),
    ("CreateVectorBucket", {"vectorBucketName": "a" * 64}, constraint("/vectorBucketName", NAME, 64)),
    ("CreateVectorBucket", {"vectorBucketName": "Photos"}, "Invalid vector bucket name"),
    ("CreateVectorBucket", {"vectorBucketName": "a_b"}, "Invalid vector bucket name"),
    ("CreateVectorBucket", {"vectorBucketName": "-ab"}, "Invalid vector bucket name"),
    (
        "CreateVectorBucket",
        {"vectorBucketName": "new", "encryptionConfiguration": {"kmsKeyArn": "arn:aws:kms:x:000000000000:key/a"}},
        "kmsKeyArn must not be specified when sseType is AES256.",
    ),
    (
        "CreateVectorBucket",
        {"vectorBucketName": "new", "encryptionConfiguration": {"sseType": "aws:kms"}},
        "kmsKeyArn must be specified when sseType is set to aws:kms",
    ),
    (
        "CreateVectorBucket",
        {"vectorBucketName": "new", "tags": {f"k{number}": "v" for number in range(51)}},
        "Too many tags specified",
    ),
    (
        "CreateVectorBucket",
        {"vectorBucketName": "new", "tags": {"aws:owner": "x"}},
        "System tags cannot be added/updated by requester",
    ),
    (
        "CreateVectorBucket",
        {"vectorBucketName": "new", "tags": {"team": "a\tb"}},
        constraint("/tags/team", "satisfy the pattern of tag values"),
    ),
    (
        "CreateVectorBucket",
        {"vectorBucketName": "new", "tags": {"a#b": "x"}},
        constraint("/tags", "satisfy the pattern and the length of tag keys"),
    ),
    ("ListVectorBuckets", {"maxResults": 501}, constraint("/maxResults", "be between 1 and 500, inclusive")),
    ("ListVectorBuckets", {"nextToken": "nonsense"}, "Invalid nextToken"),
    ("CreateIndex", index_settings(indexName="New"), "Invalid index name"),
    ("CreateIndex", index_settings(indexName=None), constraint("/indexName", "not be null")),
    ("CreateIndex", index_settings(dimension=0), constraint("/dimension", "be between 1 and 4096, inclusive")),
    ("CreateIndex", index_settings(dimension=4097), constraint("/dimension", "be between 1 and 4096, inclusive")),
    ("CreateIndex", index_settings(dimension=None), constraint("/dimension", "not be null")),
    ("CreateIndex", index_settings(dataType="float16"), constraint("/dataType", "satisfy enum value set: [float32]")),
    (
        "CreateIndex",
        index_settings(distanceMetric="dot"),
        constraint("/distanceMetric", "satisfy enum value set: [euclidean, cosine]"),
    ),
    (
        "CreateIndex",
        index_settings(metadataConfiguration={"nonFilterableMetadataKeys": [f"k{number}" for number in range(11)]}),
        constraint("/metadataConfiguration/nonFilterableMetadataKeys", "have length between 1 and 10, inclusive", 11),
    ),
    ("GetIndex", {}, "Must specify either indexArn or both vectorBucketName and indexName"),
    ("GetIndex", {"indexName": "index"}, "Must specify either indexArn or both vectorBucketName and indexName"),
    (
        "GetIndex",
        WHERE | {"indexArn": INDEX_ARN},
        "Must specify either indexArn or both vectorBucketName and indexName",
    ),
    ("GetIndex", {"indexArn": "arn:aws:s3:::bucket"}, "Invalid index ARN"),
    ("GetVectorBucket", {"vectorBucketArn": INDEX_ARN}, "Invalid vector bucket ARN"),
    (
        "UpdateIndexMode",
        WHERE | {"indexMode": "CLASSIC"},
        "indexMode must be ENHANCED in a vector bucket created since",
    ),
    (
        "PutVectors",
        WHERE | {"vectors": []},
        constraint("/vectors", "have length between 1 and 500, inclusive", 0),
    ),
    (
        "PutVectors",
        WHERE | {"vectors": [{"key": str(number), "data": VECTOR} for number in range(501)]},
        constraint("/vectors", "have length between 1 and 500, inclusive", 501),
    ),
    (
        "PutVectors",
        WHERE | {"vectors": [{"key": "a", "data": VECTOR}, {"key": "", "data": VECTOR}]},
        constraint("/vectors/1/key", "have length between 1 and 1024, inclusive", 0),
    ),
    (
        "PutVectors",
        WHERE | {"vectors": [{"key": "a" * 1025, "data": VECTOR}]},
        constraint("/vectors/0/key", "have length between 1 and 1024, inclusive", 1025),
    ),
    (
        "PutVectors",
        WHERE | {"vectors": [{"key": "中" * 342, "data": VECTOR}]},
        "Record key length exceeds the maximum allowed",
    ),
    ("PutVectors", WHERE | {"vectors": [{"key": "a"}]}, constraint("/vectors/0/data", "not be null")),
    (
        "PutVectors",
        WHERE | {"vectors": [{"key": "a", "data": {"float32": [1]}}]},
        "Invalid record for key 'a': vector must have length 2, but has length 1",
    ),
    (
        "PutVectors",
        WHERE | {"vectors": [{"key": "a", "data": {"float32": [0, 0]}}]},
        "Invalid record for key 'a': cosine distance does not support vectors with zero norm",
    ),
    (
        "PutVectors",
        WHERE | {"vectors": [{"key": "a", "data": VECTOR, "metadata": {"list": []}}]},
        "Invalid record for key 'a': Empty arrays are not allowed in metadata",
    ),
    (
        "PutVectors",
        WHERE | {"vectors": [{"key": "a", "data": VECTOR, "metadata": {"text": "x" * 2033}}]},
        "Invalid record for key 'a': Filterable metadata must have at most 2048 bytes",
    ),
    ("GetVectors", WHERE | {"keys": []}, constraint("/keys", "have length between 1 and 100, inclusive", 0)),
    (
        "GetVectors",
        WHERE | {"keys": [str(number) for number in range(101)]},
        constraint("/keys", "have length between 1 and 100, inclusive", 101),
    ),
    ("GetVectors", WHERE | {"keys": ["中" * 342]}, "Record key length exceeds the maximum allowed"),
    (
        "DeleteVectors",
        WHERE | {"keys": [str(number) for number in range(501)]},
        constraint("/keys", "have length between 1 and 500, inclusive", 501),
    ),
    ("ListVectors", WHERE | {"maxResults": 1001}, constraint("/maxResults", "be between 1 and 1000, inclusive")),
    ("ListVectors", WHERE | {"segmentCount": 2}, "Must specify both segmentCount and segmentIndex or neither"),
    (
        "ListVectors",
        WHERE | {"segmentCount": 2, "segmentIndex": 2},
        "segmentIndex must be less than segmentCount",
    ),
    (
        "ListVectors",
        WHERE | {"segmentCount": 17, "segmentIndex": 0},
        constraint("/segmentCount", "be between 1 and 16, inclusive"),
    ),
    ("ListVectors", WHERE | {"nextToken": "nonsense"}, "Invalid nextToken"),
    ("ListVectors", WHERE | {"nextToken": "WyJhIiwgMV0="}, "Invalid nextToken"),
    ("QueryVectors", WHERE | {"queryVector": VECTOR}, constraint("/topK", "not be null")),
    (
        "QueryVectors",
        WHERE | {"topK": 0, "queryVector": VECTOR},
        constraint("/topK", "be between 1 and 10000, inclusive"),
    ),
    (
        "QueryVectors",
        WHERE | {"topK": 10_001, "queryVector": VECTOR},
        constraint("/topK", "be between 1 and 10000, inclusive"),
    ),
    ("QueryVectors", WHERE | {"topK": 1}, constraint("/queryVector", "not be null")),
    (
        "QueryVectors",
        WHERE | {"topK": 1, "queryVector": {"float32": [1, 2, 3]}},
        "Query vector contains invalid values or is invalid for this index",
    ),
    (
        "QueryVectors",
        WHERE | {"topK": 1, "queryVector": {"float32": [0, 0]}},
        "Query vector contains invalid values or is invalid for this index",
    ),
    ("QueryVectors", WHERE | {"topK": 1, "queryVector": VECTOR, "filter": {}}, "Invalid filter"),
    (
        "QueryVectors",
        WHERE | {"topK": 1, "queryVector": VECTOR, "filter": {"hidden": "x"}},
        "Invalid use of non-filterable metadata in filter",
    ),
    ("QueryVectors", WHERE | {"topK": 1, "queryVector": VECTOR, "nextToken": "nonsense"}, "Invalid nextToken"),
    (
        "QueryVectors",
        WHERE | {"topK": 1, "queryVector": VECTOR, "queryMode": "CLASSIC"},
        "queryMode must be ENHANCED for an index whose mode is ENHANCED",
    ),
    (
        "QueryVectors",
        WHERE | {"topK": 1, "queryVector": VECTOR, "queryTexts": []},
        "the local S3 Vectors does not know the member '/queryTexts'",
    ),
]


@pytest.mark.parametrize(("operation", "members", "message"), INVALID)
def test_what_is_invalid_is_refused(service: S3Vectors, operation: str, members: Json, message: str) -> None:
    status, name, body = ask(service, operation, **members)
    assert (status, name) == (400, "ValidationException")
    assert body["message"].startswith(message)


@pytest.mark.parametrize(
    ("members", "path", "message"),
    [
        ({"key": "a", "data": {"float32": [0, 0]}}, "vectors[0]", "cosine distance does not support vectors with"),
        ({"key": "a", "data": VECTOR, "metadata": {"a": None}}, "vectors[0].metadata", "Metadata values must be"),
    ],
)
def test_an_invalid_record_is_located(service: S3Vectors, members: Json, path: str, message: str) -> None:
    _, _, body = ask(service, "PutVectors", **WHERE, vectors=[members])
    (field,) = body["fieldList"]
    assert field["path"] == path
    assert field["message"].startswith(message)


def test_one_invalid_record_keeps_the_others_out(service: S3Vectors) -> None:
    records = [{"key": "good", "data": VECTOR}, {"key": "bad", "data": {"float32": [0, 0]}}]
    assert ask(service, "PutVectors", **WHERE, vectors=records)[0] == 400
    assert ask(service, "GetVectors", **WHERE, keys=["good"])[2] == {"vectors": []}


@pytest.mark.parametrize("operation", ["GetIndex", "DeleteIndex", "ListVectors"])
@pytest.mark.parametrize(
    "where",
    [
        {"vectorBucketName": "bucket", "indexName": "absent"},
        {"vectorBucketName": "absent", "indexName": "index"},
        {"indexArn": INDEX_ARN.replace("us-east-1", "eu-west-1")},
        {"indexArn": INDEX_ARN.replace("000000000000", "111111111111")},
    ],
)
def test_an_index_that_does_not_exist(service: S3Vectors, operation: str, where: Json) -> None:
    status, name, body = ask(service, operation, **where)
    assert (status, name) == (404, "NotFoundException")
    assert body["message"] == "The specified index could not be found"


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("GetVectorBucket", {"vectorBucketName": "absent"}),
        ("DeleteVectorBucket", {"vectorBucketName": "absent"}),
        ("ListIndexes", {"vectorBucketName": "absent"}),
        ("CreateIndex", index_settings(vectorBucketName="absent")),
        ("GetVectorBucket", {"vectorBucketArn": "arn:aws:s3vectors:eu-west-1:000000000000:bucket/bucket"}),
    ],
)
def test_a_vector_bucket_that_does_not_exist(service: S3Vectors, operation: str, members: Json) -> None:
    status, name, body = ask(service, operation, **members)
    assert (status, name) == (404, "NotFoundException")
    assert body["message"] == "The specified vector bucket could not be found"


@pytest.mark.parametrize("arn", ["nonsense", INDEX_ARN.replace("us-east-1", "eu-west-1")])
def test_a_resource_without_tags(service: S3Vectors, arn: str) -> None:
    status, name, body = post(service, f"/tags/{arn}", b"", "GET")
    assert (status, name) == (404, "NotFoundException")
    assert body["message"] == "The specified resource could not be found"


@pytest.mark.parametrize(
    ("operation", "members", "message"),
    [
        (
            "CreateVectorBucket",
            {"vectorBucketName": "bucket"},
            "A vector bucket with the specified name already exists",
        ),
        ("CreateIndex", index_settings(), "An index with the specified name already exists"),
        ("DeleteVectorBucket", {"vectorBucketName": "bucket"}, "The specified vector bucket is not empty"),
    ],
)
def test_a_conflict(service: S3Vectors, operation: str, members: Json, message: str) -> None:
    assert ask(service, operation, **members) == (409, "ConflictException", {"message": message})


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"topK": "1"}',
        b'{"topK": true}',
        b'{"topK": 1, "queryVector": [1, 2]}',
        b'{"topK": 1, "queryVector": {"float32": {}}}',
        b'{"topK": 1, "queryVector": {"float32": [1, 2]}, "returnDistance": "yes"}',
        b'{"topK": 1, "queryVector": {"float32": [1, 2]}, "filter": {"a": "\\ud800"}}',
        b'{"topK": 1, "queryVector": {"float32": [NaN, 2]}}',
    ],
)
def test_a_body_of_another_shape(service: S3Vectors, body: bytes) -> None:
    named = body.replace(b"{", b'{"vectorBucketName": "bucket", "indexName": "index",', 1) if len(body) > 2 else body
    assert post(service, "/QueryVectors", named)[:2] == (400, "SerializationException")


def test_a_body_of_20_mib_is_the_largest(service: S3Vectors) -> None:
    def of_size(size: int) -> bytes:
        return b'{"vectorBucketName": "bucket"}'.ljust(size)

    assert post(service, "/GetVectorBucket", of_size(20 * 2**20))[0] == 200
    status, name, body = post(service, "/GetVectorBucket", of_size(20 * 2**20 + 1))
    assert (status, name, body) == (400, "ValidationException", {"message": "Request body exceeds max allowed size"})


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/PutVectorBucketPolicy"), ("POST", "/nonsense"), ("GET", "/GetIndex"), ("PUT", f"/tags/{INDEX_ARN}")],
)
def test_an_operation_that_it_does_not_know(service: S3Vectors, method: str, path: str) -> None:
    status, name, body = post(service, path, b"{}", method)
    assert (status, name) == (404, "UnknownOperationException")
    assert path in body["message"]


def test_tokens_belong_to_their_request() -> None:
    service = S3Vectors()
    ask(service, "CreateVectorBucket", vectorBucketName="bucket")
    for name in ("index", "other"):
        ask(service, "CreateIndex", **index_settings(indexName=name))
        records = [{"key": str(number), "data": {"float32": [1, number]}} for number in range(150)]
        ask(service, "PutVectors", vectorBucketName="bucket", indexName=name, vectors=records)
    token = ask(service, "QueryVectors", **WHERE, topK=150, queryVector=VECTOR)[2]["nextToken"]
    listed = ask(service, "ListVectors", **WHERE, maxResults=10)[2]["nextToken"]
    query = WHERE | {"topK": 150, "queryVector": VECTOR, "nextToken": token}
    assert ask(service, "QueryVectors", **query, returnMetadata=True)[0] == 200
    for changed in (
        {"topK": 149},
        {"queryVector": {"float32": [1, 1]}},
        {"filter": {"a": "b"}},
        {"indexName": "other"},
        {"nextToken": listed},
    ):
        assert ask(service, "QueryVectors", **(query | changed))[2]["message"] == "Invalid nextToken"
    for more in ({"indexName": "other"}, {"segmentCount": 2, "segmentIndex": 0}, {"nextToken": token}):
        assert ask(service, "ListVectors", **(WHERE | {"nextToken": listed} | more))[0] == 400


def test_the_token_of_a_query_ends_after_five_minutes() -> None:
    now = 0.0
    sessions = QuerySessions(lambda: now)
    hits = [Hit(str(number), np.float32(0), {}) for number in range(250)]
    _, token = sessions.first_page("query", hits)
    assert token is not None
    now = 300
    assert sessions.next_page("query", token)[0] == hits[100:200]
    now = 301
    with pytest.raises(S3VectorsError, match="Invalid nextToken"):
        sessions.next_page("query", token)


class Scripted:
    """Errors that a test asks for, in their order; then none."""

    def __init__(self) -> None:
        self.before: list[S3VectorsError] = []
        self.after: list[S3VectorsError] = []
        self.seen: list[str] = []

    def __call__(self, call: Call, proceed: Proceed) -> Json:
        self.seen.append(call.operation)
        if self.before:
            raise self.before.pop(0)
        answer = proceed()
        if self.after:
            raise self.after.pop(0)
        return answer


@pytest.fixture
def scripted() -> Iterator[tuple[Scripted, Any]]:
    errors = Scripted()
    with s3vectors_server(S3Vectors(errors)) as endpoint:
        client = s3vectors_client(endpoint)
        client.create_vector_bucket(vectorBucketName="bucket")
        client.create_index(**index_settings())
        yield errors, client


def put(client: Any) -> None:
    client.put_vectors(**WHERE, vectors=[{"key": "a", "data": {"float32": [1.0, 0.0]}}])


def keys(client: Any) -> list[str]:
    return [vector["key"] for vector in client.list_vectors(**WHERE)["vectors"]]


def test_a_test_can_have_a_call_throttled(scripted: tuple[Scripted, Any]) -> None:
    errors, client = scripted
    errors.before.append(TooManyRequestsError("Rate exceeded"))
    with pytest.raises(client.exceptions.TooManyRequestsException, match="Rate exceeded"):
        put(client)
    assert keys(client) == []
    put(client)
    assert keys(client) == ["a"]


def test_a_test_can_have_the_answer_of_a_write_lost(scripted: tuple[Scripted, Any]) -> None:
    errors, client = scripted
    errors.after.append(RequestTimeoutError("timed out"))
    with pytest.raises(client.exceptions.RequestTimeoutException):
        put(client)
    assert keys(client) == ["a"]
    assert errors.seen == ["CreateVectorBucket", "CreateIndex", "PutVectors", "ListVectors"]


def test_a_test_can_have_a_write_done_later() -> None:
    late: list[Proceed] = []

    def delay_put(call: Call, proceed: Proceed) -> Json:
        if call.operation == "PutVectors":
            late.append(proceed)
            raise RequestTimeoutError("timed out")
        return proceed()

    service = S3Vectors(delay_put)
    ask(service, "CreateVectorBucket", vectorBucketName="bucket")
    ask(service, "CreateIndex", **index_settings())
    assert ask(service, "PutVectors", **WHERE, vectors=[{"key": "a", "data": VECTOR}])[0] == 408
    assert ask(service, "DeleteVectors", **WHERE, keys=["a"])[0] == 200
    late[0]()
    assert ask(service, "GetVectors", **WHERE, keys=["a"])[2] == {"vectors": [{"key": "a"}]}


def test_errors_reach_boto3_as_its_own(scripted: tuple[Scripted, Any]) -> None:
    _, client = scripted
    with pytest.raises(client.exceptions.NotFoundException, match="The specified index could not be found"):
        client.get_index(vectorBucketName="bucket", indexName="absent")
    with pytest.raises(client.exceptions.ConflictException):
        client.create_index(**index_settings())
    with pytest.raises(client.exceptions.ValidationException) as raised:
        client.query_vectors(**WHERE, topK=1, queryVector={"float32": [0.0, 0.0]})
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert raised.value.response["fieldList"][0]["path"] == "vector"


def test_a_defect_of_its_own_is_an_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_call: Call, _proceed: Proceed) -> Json:
        raise ZeroDivisionError

    status, name, body = ask(S3Vectors(broken), "ListVectorBuckets")
    assert (status, name, body) == (500, "InternalServerException", {"message": "Internal server error"})
    assert "ZeroDivisionError" in caplog.text
    with s3vectors_server(S3Vectors(broken)) as endpoint, pytest.raises(ClientError, match="InternalServerException"):
        s3vectors_client(endpoint).list_vector_buckets()
