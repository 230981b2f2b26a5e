"""From an upload to a search: S3 event, item, the table's stream, indexer, S3 Vectors, search function."""

import json
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from handler.index.metadata import NON_FILTERABLE
from handler.index.names import index_name, vector_key
from infra.common.local_stack import Stack
from tests.end_to_end.test_uploads import item, put
from tests.support.pictures import encoded, picture
from tests.support.processes import eventually

OTHER_INDEX = index_name("f" * 64)
PROMPT_SECONDS = 5.0


def search(stack: Stack, **request: Any) -> Any:
    answer = stack.lambda_.invoke(FunctionName=stack.api or "", Payload=json.dumps(request))
    assert not answer.get("FunctionError")
    return json.loads(answer["Payload"].read())


def indexed(stack: Stack, index: str, source: str) -> dict[str, Any] | None:
    """An object's vector in an index, with its metadata."""
    where = {"vectorBucketName": stack.vector_bucket, "indexName": index}
    try:
        answer = stack.s3vectors.get_vectors(**where, keys=[vector_key(source)], returnData=True, returnMetadata=True)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NotFoundException"
        return None
    return next(iter(answer["vectors"]), None)


def own_index(stack: Stack, key: str) -> str:
    """The index of the model, whose fingerprint an item has."""
    return index_name(item(stack, key)["fingerprint"])


def embed(stack: Stack, key: str, seed: int) -> str:
    """Upload a picture, and wait until it is in the index. Returns its ETag."""
    etag = put(stack, key, encoded(picture(90, 70, seed=seed)))
    assert eventually(lambda: has_etag(stack, key, etag), 60)
    return etag


def has_etag(stack: Stack, key: str, etag: str) -> bool:
    """Whether the index has the vector of these bytes."""
    if item(stack, key).get("etag") != etag:
        return False
    vector = indexed(stack, own_index(stack, key), stack.source(key))
    return vector is not None and vector["metadata"]["etag"] == etag


def leaves(stack: Stack, index: str, key: str) -> bool:
    """Wait until an index has no vector of an object."""
    return eventually(lambda: indexed(stack, index, stack.source(key)) is None, 60)


@pytest.fixture
def other_index(stack: Stack) -> Callable[[str], None]:
    """Puts a vector of an object into the index of another model."""
    where = {"vectorBucketName": stack.vector_bucket, "indexName": OTHER_INDEX}
    with suppress(stack.s3vectors.exceptions.ConflictException):  # of an earlier test
        stack.s3vectors.create_index(**where, dataType="float32", dimension=2, distanceMetric="cosine")

    def fill(key: str) -> None:
        vector = {"key": vector_key(stack.source(key)), "data": {"float32": [1.0, 0.0]}}
        stack.s3vectors.put_vectors(**where, vectors=[vector])

    return fill


def test_an_upload_is_found_by_example_by_vector_and_by_picture(stack: Stack) -> None:
    keys = [f"found/{number}.png" for number in range(4)]
    for number, key in enumerate(keys):
        embed(stack, key, 100 + number)
    vectors = {key: item(stack, key)["embedding"] for key in keys}
    among = {"filter": {"key": {"$startsWith": "found/"}}}

    answer = search(stack, query={"source": stack.source(keys[0])}, **among)
    assert (answer["status"], answer["next"], answer["model"]) == ("ok", None, "efficientnet-lite0")
    cosines = {key: float(vectors[key] @ vectors[keys[0]]) for key in keys[1:]}
    assert [hit["source"] for hit in answer["hits"]] == [
        stack.source(key) for key in sorted(cosines, key=cosines.__getitem__, reverse=True)
    ]
    for hit in answer["hits"]:
        assert hit["score"] == pytest.approx(cosines[hit["source"].removeprefix(stack.source(""))], abs=1e-4)

    (best,) = search(stack, query={"vector": vectors[keys[2]].tolist()}, k=1, **among)["hits"]
    assert best["source"] == stack.source(keys[2])
    assert best["score"] == pytest.approx(1, abs=1e-4)
    assert (best["width"], best["height"], best["format"]) == (90, 70, "png")
    assert best["result"] == item(stack, keys[2])["result"]
    assert best["updated_at"][:19] == item(stack, keys[2])["updated_at"][:19]

    combined = [{"source": stack.source(keys[0])}, {"vector": vectors[keys[1]].tolist(), "weight": -0.5}]
    sum_ = vectors[keys[0]] - 0.5 * vectors[keys[1]]
    wanted = {key: float(vectors[key] @ sum_ / np.linalg.norm(sum_)) for key in keys[1:]}
    hits = search(stack, query=combined, **among)["hits"]
    assert [hit["score"] for hit in hits] == pytest.approx(sorted(wanted.values(), reverse=True), abs=1e-4)


def test_pages_of_a_search(stack: Stack) -> None:
    keys = [f"pages/{number}.png" for number in range(5)]
    for number, key in enumerate(keys):
        embed(stack, key, 200 + number)
    request = {"query": {"source": stack.source(keys[0])}, "filter": {"key": {"$startsWith": "pages/"}}}
    whole = search(stack, **request)["hits"]
    assert len(whole) == 4
    first = search(stack, **request, k=3)
    second = search(stack, **request, k=3, next=first["next"])
    assert first["hits"] + second["hits"] == whole
    assert second["next"] is None
    foreign = search(stack, query={"source": stack.source(keys[1])}, k=3, next=first["next"])
    assert foreign["error_code"] == "invalid_request"


def test_uploads_overwrites_and_deletions_reach_the_index_within_seconds(stack: Stack) -> None:
    embed(stack, "prompt/first.png", 300)  # both functions run now
    index, delays = own_index(stack, "prompt/first.png"), []
    for number in range(5):
        key, started = f"prompt/{number}.png", time.monotonic()
        embed(stack, key, 310 + number)
        delays.append(time.monotonic() - started)

        started = time.monotonic()
        embed(stack, key, 320 + number)
        delays.append(time.monotonic() - started)

        started = time.monotonic()
        stack.s3.delete_object(Bucket=stack.uploads_bucket, Key=key)
        assert leaves(stack, index, key)
        delays.append(time.monotonic() - started)
    assert statistics.median(delays) <= PROMPT_SECONDS, delays


def test_an_overwritten_object_leaves_the_indexes_of_other_models(
    stack: Stack, other_index: Callable[[str], None]
) -> None:
    key = "two models/overwritten.png"
    embed(stack, key, 400)
    other_index(key)
    embed(stack, key, 401)
    assert indexed(stack, OTHER_INDEX, stack.source(key)) is None


def test_the_same_picture_again_stays_in_the_indexes_of_other_models(
    stack: Stack, other_index: Callable[[str], None]
) -> None:
    key = "two models/repeated.png"
    embed(stack, key, 402)
    other_index(key)
    touch = {"ExpressionAttributeValues": {":now": {"S": "2026-01-01T00:00:00Z"}}}
    stack.dynamodb.update_item(
        TableName=stack.table,
        Key={"source": {"S": stack.source(key)}},
        UpdateExpression="SET touched_at = :now",
        **touch,  # type: ignore[arg-type]
    )
    embed(stack, "two models/later.png", 403)  # the stream has passed the change before
    assert indexed(stack, OTHER_INDEX, stack.source(key)) is not None


def delete_object(stack: Stack, key: str) -> None:
    stack.s3.delete_object(Bucket=stack.uploads_bucket, Key=key)


def overwrite_with_text(stack: Stack, key: str) -> None:
    put(stack, key, b"no image")


def remove_item(stack: Stack, key: str) -> None:
    stack.dynamodb.delete_item(TableName=stack.table, Key={"source": {"S": stack.source(key)}})  # as TTL does


@pytest.mark.parametrize("remove", [delete_object, overwrite_with_text, remove_item])
def test_an_object_without_a_vector_leaves_every_index(
    stack: Stack, other_index: Callable[[str], None], remove: Callable[[Stack, str], None]
) -> None:
    key = f"gone/{remove.__name__}.png"
    embed(stack, key, 404)
    index = own_index(stack, key)
    other_index(key)
    remove(stack, key)
    for each in (index, OTHER_INDEX):
        assert leaves(stack, each, key)
    code = "not_indexed" if remove is overwrite_with_text else "not_found"
    assert search(stack, query={"source": stack.source(key)})["error_code"] == code


def test_the_index_has_the_settings_of_the_contract(stack: Stack) -> None:
    embed(stack, "settings.png", 500)
    where = {"vectorBucketName": stack.vector_bucket, "indexName": own_index(stack, "settings.png")}
    described = stack.s3vectors.get_index(**where)["index"]
    assert (described["dimension"], described["distanceMetric"], described["dataType"]) == (1280, "cosine", "float32")
    assert described["metadataConfiguration"]["nonFilterableMetadataKeys"] == list(NON_FILTERABLE)
    vector = indexed(stack, where["indexName"] or "", stack.source("settings.png"))
    assert vector is not None
    found = item(stack, "settings.png")
    assert vector["metadata"]["source"] == stack.source("settings.png")
    assert (vector["metadata"]["bucket"], vector["metadata"]["key"]) == (stack.uploads_bucket, "settings.png")
    assert np.array_equal(np.array(vector["data"]["float32"], dtype=np.float32), found["embedding"])


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"query": []}, "invalid_request"),
        ({"query": {"vector": [1.0]}}, "invalid_request"),
        ({"query": {"vector": [1.0] * 1280}, "filter": {"$nonsense": 1}}, "invalid_request"),
        ({"query": {"source": "s3://nowhere/none.png"}}, "not_found"),
        ({"query": {"image": "bm8gaW1hZ2U="}}, "unsupported_format"),
    ],
)
def test_a_search_that_cannot_be_answered_is_a_typed_error(stack: Stack, request_: dict[str, Any], code: str) -> None:
    embed(stack, "errors.png", 501)  # S3 Vectors checks the filter only if the index exists
    answer = search(stack, **request_)
    assert (answer["status"], answer["error_code"]) == ("error", code)
    assert "\n" not in answer["error"]
