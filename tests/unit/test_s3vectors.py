"""The functions' client of S3 Vectors: over HTTP to the stand-in, beside botocore's own client."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pytest

from handler.aws.clients import make_s3vectors
from handler.aws.retries import attempt
from handler.aws.sdk.errors import InvalidResponseError, ServiceError
from handler.aws.sdk.s3vectors import MAX_GET_KEYS, MAX_TOP_K, S3Vectors
from handler.errors import AccessDeniedError, RetryableError
from handler.timing import Deadline
from infra.local.s3vectors.errors import (
    AccessDeniedError as Denied,
)
from infra.local.s3vectors.errors import (
    ServiceUnavailableError,
    TooManyRequestsError,
)
from infra.local.s3vectors.fields import Json
from infra.local.s3vectors.service import Call, Proceed
from infra.local.s3vectors.service import S3Vectors as StandIn
from tests.support.loopback_aws import LoopbackAws, Response, State
from tests.support.s3vectors_server import s3vectors_client, s3vectors_server
from tests.support.vector_indexes import VECTORS

INDEX, DIMENSION = "dropvec-0123", 8
MATRIX = np.random.default_rng(0).standard_normal((250, DIMENSION)).astype(np.float32)


class Service:
    """A stand-in over HTTP: the function's client, botocore's, and errors to raise instead of the next calls."""

    def __init__(self, endpoint: str, monkeypatch: pytest.MonkeyPatch, errors: list[Exception]) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3VECTORS", endpoint)
        self.ours: S3Vectors = make_s3vectors(VECTORS)
        self.botocore: Any = s3vectors_client(endpoint)
        self.errors = errors


@pytest.fixture
def service(aws: State, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    errors: list[Exception] = []

    def intercept(_call: Call, proceed: Proceed) -> Json:
        if errors:
            raise errors.pop(0)
        return proceed()

    with s3vectors_server(StandIn(intercept)) as endpoint:
        made = Service(endpoint, monkeypatch, errors)
        made.botocore.create_vector_bucket(vectorBucketName=VECTORS)
        yield made
        made.ours.client.connections.close()


def fill(service: Service) -> None:
    service.ours.create_index(INDEX, DIMENSION, ["source"])
    vectors = [
        {"key": f"k{row:03}", "data": {"float32": MATRIX[row].tolist()}, "metadata": {"key": f"{row}", "even": row % 2}}
        for row in range(len(MATRIX))
    ]
    service.ours.put_vectors(INDEX, orjson.dumps(vectors))


def test_an_index_has_the_settings_that_were_asked_for(service: Service) -> None:
    service.ours.create_index(INDEX, DIMENSION, ["source", "etag"])
    found = service.botocore.get_index(vectorBucketName=VECTORS, indexName=INDEX)["index"]
    assert (found["dimension"], found["distanceMetric"], found["dataType"]) == (DIMENSION, "cosine", "float32")
    assert found["metadataConfiguration"] == {"nonFilterableMetadataKeys": ["source", "etag"]}


def test_all_indexes_are_listed_over_several_pages(service: Service) -> None:
    names = [f"dropvec-{number:04}" for number in range(503)]
    for name in [*names, "another"]:
        service.botocore.create_index(
            vectorBucketName=VECTORS, indexName=name, dataType="float32", dimension=1, distanceMetric="cosine"
        )
    assert service.ours.list_indexes("dropvec-") == names


def test_vectors_are_written_read_and_deleted_as_by_botocore(service: Service) -> None:
    fill(service)
    keys = [f"k{row:03}" for row in range(MAX_GET_KEYS - 1)] + ["absent"]
    theirs = service.botocore.get_vectors(
        vectorBucketName=VECTORS, indexName=INDEX, keys=keys, returnData=True, returnMetadata=True
    )["vectors"]
    ours = service.ours.get_vectors(INDEX, keys, data=True, metadata=True)
    assert [(vector["key"], vector["metadata"]) for vector in ours] == [
        (vector["key"], vector["metadata"]) for vector in theirs
    ]
    assert np.array_equal(np.array([vector["data"]["float32"] for vector in ours], np.float32), MATRIX[: len(ours)])
    service.ours.delete_vectors(INDEX, [*keys, "absent, too"])
    assert service.ours.get_vectors(INDEX, keys, data=False, metadata=False) == []


@pytest.mark.parametrize("filters", [None, {"even": 1}])
def test_a_query_finds_what_botocore_finds_page_by_page(service: Service, filters: dict[str, Any] | None) -> None:
    fill(service)
    asked: dict[str, Any] = {
        "vectorBucketName": VECTORS,
        "indexName": INDEX,
        "topK": 120,
        "queryVector": {"float32": MATRIX[7].tolist()},
        "returnDistance": True,
        "returnMetadata": True,
        **({} if filters is None else {"filter": filters}),
    }
    theirs: list[Any] = []
    ours: list[Any] = []
    token: str | None = None
    following: dict[str, str] = {}
    while not ours or token:
        page = service.ours.query_vectors(INDEX, MATRIX[7].tolist(), 120, filters, token)
        answer = service.botocore.query_vectors(**asked | following)
        token, following = page.next_token, {"nextToken": answer["nextToken"]} if "nextToken" in answer else {}
        ours += page.vectors
        theirs += answer["vectors"]
        assert bool(token) is bool(following)
    assert len(ours) == 120
    assert [(hit["key"], hit["metadata"]) for hit in ours] == [(hit["key"], hit["metadata"]) for hit in theirs]
    assert [hit["distance"] for hit in ours] == pytest.approx([hit["distance"] for hit in theirs], abs=1e-6)


@pytest.mark.parametrize(
    ("call", "status", "code", "message"),
    [
        (lambda ours: ours.put_vectors("dropvec-absent", b'[{"key":"a","data":{"float32":[1]}}]'), 404,
         "NotFoundException", "The specified index could not be found"),
        (lambda ours: ours.create_index(INDEX, DIMENSION, ["a"]), 409, "ConflictException", "already exists"),
        (lambda ours: ours.query_vectors(INDEX, [0.0] * DIMENSION, 1), 400, "ValidationException", "Query vector"),
        (lambda ours: ours.query_vectors(INDEX, MATRIX[0].tolist(), MAX_TOP_K + 1), 400, "ValidationException", "topK"),
        (lambda ours: ours.put_vectors(INDEX, b"[null]"), 400, "SerializationException", "must be an object"),
    ],
)  # fmt: skip
def test_errors_have_status_code_and_message(service: Service, call: Any, status: int, code: str, message: str) -> None:
    fill(service)
    with pytest.raises(ServiceError, match=message) as caught:
        call(service.ours)
    assert (caught.value.status, caught.value.code) == (status, code)


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({"x-amzn-errortype": "ThrottlingException"}, b'{"message": "slow"}', "ThrottlingException"),
        ({"x-amzn-errortype": "A:http://internal.example/"}, b'{"message": "slow"}', "A"),
        ({}, b'{"__type": "com.amazonaws.s3vectors#A", "Message": "slow"}', "A"),
        ({}, b"<html>", "503"),
        ({}, b"", "503"),
    ],
)
def test_the_code_of_an_error_may_be_in_several_places(
    aws: State, loopback: LoopbackAws, headers: dict[str, str], body: bytes, code: str
) -> None:
    client = make_s3vectors(VECTORS)
    with loopback.answering(lambda _request: Response(503, headers, body)), pytest.raises(ServiceError) as caught:
        client.list_indexes("dropvec-")
    assert caught.value.code == code
    assert caught.value.message == ("slow" if b"slow" in body else "")
    client.client.connections.close()


@pytest.mark.parametrize("body", [b"[]", b'{"indexes": [', b"<html>"])
def test_an_answer_that_is_no_object_is_an_error(aws: State, loopback: LoopbackAws, body: bytes) -> None:
    client = make_s3vectors(VECTORS)
    with loopback.answering(lambda _request: Response(200, {}, body)), pytest.raises(InvalidResponseError):
        client.list_indexes("dropvec-")
    client.client.connections.close()


def test_a_request_is_signed_for_s3vectors_and_has_a_path_for_each_operation(aws: State, loopback: LoopbackAws) -> None:
    client = make_s3vectors(VECTORS)
    with loopback.answering(lambda _request: Response(200, {}, b"{}")) as requests:
        client.delete_vectors(INDEX, ["a"])
    (request,) = requests
    assert (request.method, request.target) == ("POST", "/DeleteVectors")
    assert "/us-east-1/s3vectors/aws4_request" in request.headers["authorization"]
    assert orjson.loads(request.body) == {"vectorBucketName": VECTORS, "indexName": INDEX, "keys": ["a"]}
    client.client.connections.close()


@pytest.mark.parametrize("error", [TooManyRequestsError("slow"), ServiceUnavailableError("later")])
def test_throttling_is_waited_out_and_in_the_end_unavailable(
    service: Service, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr("handler.aws.retries.FIRST_BACKOFF_SECONDS", 0)
    service.errors[:] = [error] * 4
    assert attempt(lambda: service.ours.list_indexes("dropvec-"), Deadline(60)) == []
    service.errors[:] = [error] * 5
    with pytest.raises(RetryableError) as caught:
        attempt(lambda: service.ours.list_indexes("dropvec-"), Deadline(60))
    assert caught.value.code == "unavailable"


def test_a_missing_permission_is_access_denied_at_once(service: Service) -> None:
    service.errors[:] = [Denied("not authorized"), Denied("not authorized")]
    with pytest.raises(AccessDeniedError):
        attempt(lambda: service.ours.list_indexes("dropvec-"), Deadline(60))
    assert len(service.errors) == 1
