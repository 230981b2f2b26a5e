"""Every operation through botocore's own client, over HTTP; results beside plain numpy."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from infra.local.s3vectors.service import S3Vectors
from tests.support.s3vectors_server import s3vectors_client, s3vectors_server

COUNT, DIMENSION = 1300, 96
BUCKET, INDEX = "dropvec-vectors", "dropvec-0123456789abcdef0123456789abcdef"
WHERE = {"vectorBucketName": BUCKET, "indexName": INDEX}
BUCKET_ARN = f"arn:aws:s3vectors:us-east-1:000000000000:bucket/{BUCKET}"
INDEX_ARN = f"{BUCKET_ARN}/index/{INDEX}"
NUMBERS = np.arange(COUNT)
ALL = np.ones(COUNT, bool)
MATRIX = np.random.default_rng(0).standard_normal((COUNT, DIMENSION)).astype(np.float32)


def metadata(number: int) -> dict[str, Any]:
    return {
        "key": f"{2000 + number % 20}/{number}.jpg",
        "width": number,
        "portrait": number % 3 == 0,
        "labels": ["dog", "animal"] if number % 5 else ["bird", "animal"],
        "source": f"s3://uploads/{number}",
    }


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A client of an index with 1,300 vectors, none of which a test changes."""
    with s3vectors_server(S3Vectors()) as endpoint:
        made = s3vectors_client(endpoint)
        create_index(made)
        for start in range(0, COUNT, 500):
            vectors = [
                {"key": f"k{row}", "data": {"float32": MATRIX[row].tolist()}, "metadata": metadata(row)}
                for row in range(start, min(start + 500, COUNT))
            ]
            made.put_vectors(**WHERE, vectors=vectors)
        yield made


@pytest.fixture
def empty() -> Iterator[Any]:
    """A client of a service without a vector bucket."""
    with s3vectors_server(S3Vectors()) as endpoint:
        yield s3vectors_client(endpoint)


def create_index(client: Any, **more: Any) -> None:
    client.create_vector_bucket(vectorBucketName=BUCKET)
    client.create_index(
        **WHERE,
        dataType="float32",
        dimension=DIMENSION,
        distanceMetric="cosine",
        metadataConfiguration={"nonFilterableMetadataKeys": ["source"]},
        **more,
    )


def query(client: Any, **more: Any) -> Any:
    asked = np.random.default_rng(1).standard_normal(DIMENSION).astype(np.float32)
    return client.query_vectors(**WHERE, queryVector={"float32": asked.tolist()}, **more)


def exact_nearest(mask: Any = ALL) -> tuple[list[str], Any]:
    """The keys of the vectors that a mask keeps, nearest first, and their distances."""
    asked = np.random.default_rng(1).standard_normal(DIMENSION).astype(np.float32).astype(np.float64)
    wide = MATRIX.astype(np.float64)
    distances = 1 - wide @ asked / np.linalg.norm(wide, axis=1) / np.linalg.norm(asked)
    order = np.argsort(distances)
    kept = order[mask[order]]
    return [f"k{row}" for row in kept], distances[kept]


def test_a_vector_bucket(empty: Any) -> None:
    assert empty.create_vector_bucket(vectorBucketName=BUCKET)["vectorBucketArn"] == BUCKET_ARN
    for name in ({"vectorBucketName": BUCKET}, {"vectorBucketArn": BUCKET_ARN}):
        found = empty.get_vector_bucket(**name)["vectorBucket"]
        assert datetime.now(UTC) - found.pop("creationTime") < timedelta(minutes=1)
        assert found == {
            "vectorBucketName": BUCKET,
            "vectorBucketArn": BUCKET_ARN,
            "encryptionConfiguration": {"sseType": "AES256"},
            "defaultIndexMode": "ENHANCED",
        }
    empty.put_vector_bucket_default_index_mode(vectorBucketName=BUCKET, defaultIndexMode="ENHANCED")
    empty.delete_vector_bucket(vectorBucketArn=BUCKET_ARN)
    assert empty.list_vector_buckets()["vectorBuckets"] == []


def test_vector_buckets_are_listed_in_pages(empty: Any) -> None:
    names = [f"bucket-{number}" for number in range(5)]
    for name in (*reversed(names), "other"):
        empty.create_vector_bucket(vectorBucketName=name)
    pages = list(
        empty.get_paginator("list_vector_buckets").paginate(prefix="bucket-", PaginationConfig={"PageSize": 2})
    )
    assert [len(page["vectorBuckets"]) for page in pages] == [2, 2, 1]
    assert [bucket["vectorBucketName"] for page in pages for bucket in page["vectorBuckets"]] == names


def test_an_index(empty: Any) -> None:
    create_index(empty)
    for name in (WHERE, {"indexArn": INDEX_ARN}):
        found = empty.get_index(**name)["index"]
        assert datetime.now(UTC) - found.pop("creationTime") < timedelta(minutes=1)
        assert found == WHERE | {
            "indexArn": INDEX_ARN,
            "dataType": "float32",
            "dimension": DIMENSION,
            "distanceMetric": "cosine",
            "metadataConfiguration": {"nonFilterableMetadataKeys": ["source"]},
            "encryptionConfiguration": {"sseType": "AES256"},
            "indexMode": "ENHANCED",
        }
    empty.update_index_mode(**WHERE, indexMode="ENHANCED")
    empty.delete_index(indexArn=INDEX_ARN)
    assert empty.list_indexes(vectorBucketName=BUCKET)["indexes"] == []


def test_indexes_are_listed_in_pages(empty: Any) -> None:
    empty.create_vector_bucket(vectorBucketName=BUCKET)
    names = [f"index.{number}" for number in range(5)]
    for name in (*reversed(names), "other"):
        empty.create_index(
            vectorBucketArn=BUCKET_ARN, indexName=name, dataType="float32", dimension=1, distanceMetric="euclidean"
        )
    paginator = empty.get_paginator("list_indexes")
    pages = list(paginator.paginate(vectorBucketName=BUCKET, prefix="index", PaginationConfig={"PageSize": 2}))
    assert [len(page["indexes"]) for page in pages] == [2, 2, 1]
    assert [index["indexName"] for page in pages for index in page["indexes"]] == names


def test_an_index_is_encrypted_as_its_bucket_unless_it_says_otherwise(empty: Any) -> None:
    key = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    encryption = {"sseType": "aws:kms", "kmsKeyArn": key}
    empty.create_vector_bucket(vectorBucketName=BUCKET, encryptionConfiguration=encryption)
    settings = {"vectorBucketName": BUCKET, "dataType": "float32", "dimension": 1, "distanceMetric": "cosine"}
    empty.create_index(**settings, indexName="inherited")
    empty.create_index(**settings, indexName="own", encryptionConfiguration={"sseType": "AES256"})
    found = {
        name: empty.get_index(vectorBucketName=BUCKET, indexName=name)["index"]["encryptionConfiguration"]
        for name in ("inherited", "own")
    }
    assert found == {"inherited": encryption, "own": {"sseType": "AES256"}}


def test_tags(empty: Any) -> None:
    create_index(empty, tags={"team": "photos", "stage": "dev"})
    empty.tag_resource(resourceArn=INDEX_ARN, tags={"stage": "prod", "owner/name": "Ünï+@"})
    empty.untag_resource(resourceArn=INDEX_ARN, tagKeys=["team", "absent"])
    assert empty.list_tags_for_resource(resourceArn=INDEX_ARN)["tags"] == {"stage": "prod", "owner/name": "Ünï+@"}
    assert empty.list_tags_for_resource(resourceArn=BUCKET_ARN)["tags"] == {}


def test_get_vectors(client: Any) -> None:
    found = client.get_vectors(indexArn=INDEX_ARN, keys=["k9", "absent", "k1"], returnData=True, returnMetadata=True)
    assert [vector["key"] for vector in found["vectors"]] == ["k1", "k9"]
    for vector, row in zip(found["vectors"], (1, 9), strict=True):
        assert np.array_equal(np.array(vector["data"]["float32"], np.float32), MATRIX[row])
        assert vector["metadata"] == metadata(row)


def test_only_what_is_asked_for_is_returned(client: Any) -> None:
    assert client.get_vectors(**WHERE, keys=["k1"])["vectors"] == [{"key": "k1"}]
    assert client.list_vectors(**WHERE, maxResults=1)["vectors"] == [{"key": "k0"}]
    assert all(set(hit) == {"key"} for hit in query(client, topK=5)["vectors"])
    assert all(set(hit) == {"key", "distance"} for hit in query(client, topK=5, returnDistance=True)["vectors"])


@pytest.mark.parametrize("segments", [None, 1, 4])
def test_list_vectors(client: Any, segments: int | None) -> None:
    listed = []
    for position in range(segments or 1):
        more = {"segmentCount": segments, "segmentIndex": position} if segments else {}
        pages = client.get_paginator("list_vectors").paginate(**WHERE, **more, PaginationConfig={"PageSize": 400})
        listed += [vector["key"] for page in pages for vector in page["vectors"]]
    assert sorted(listed) == sorted(f"k{row}" for row in range(COUNT))


def test_a_page_of_a_list_has_500_vectors_by_default(client: Any) -> None:
    page = client.list_vectors(**WHERE, returnData=True, returnMetadata=True)
    assert len(page["vectors"]) == 500
    assert page["vectors"][7]["metadata"] == metadata(7)
    assert np.array_equal(np.array(page["vectors"][7]["data"]["float32"], np.float32), MATRIX[7])


def test_the_ten_nearest_are_those_of_plain_numpy(client: Any) -> None:
    answer = query(client, topK=10, returnDistance=True, returnMetadata=True)
    keys, distances = exact_nearest()
    assert [hit["key"] for hit in answer["vectors"]] == keys[:10]
    assert [hit["distance"] for hit in answer["vectors"]] == pytest.approx(distances[:10], abs=1e-6)
    assert [hit["metadata"] for hit in answer["vectors"]] == [metadata(int(key[1:])) for key in keys[:10]]
    assert answer["distanceMetric"] == "cosine"
    assert "nextToken" not in answer


FILTERS: list[tuple[dict[str, Any], Any]] = [
    ({"portrait": True}, NUMBERS % 3 == 0),
    ({"labels": "bird"}, NUMBERS % 5 == 0),
    ({"labels": {"$in": ["bird", "fish"]}}, NUMBERS % 5 == 0),
    ({"labels": {"$nin": ["bird"]}}, NUMBERS % 5 != 0),
    ({"width": {"$gte": 100, "$lt": 104}}, (NUMBERS >= 100) & (NUMBERS < 104)),
    ({"width": {"$in": [5, 6, 7]}}, (NUMBERS >= 5) & (NUMBERS <= 7)),
    ({"key": {"$startsWith": "2007/"}}, NUMBERS % 20 == 7),
    ({"key": {"$exists": False}}, np.zeros(COUNT, bool)),
    ({"$and": [{"portrait": {"$ne": True}}, {"labels": {"$eq": "dog"}}]}, (NUMBERS % 3 != 0) & (NUMBERS % 5 != 0)),
    ({"$or": [{"width": 3}, {"key": {"$startsWith": "2019/"}}]}, (NUMBERS == 3) | (NUMBERS % 20 == 19)),
]


@pytest.mark.parametrize(("narrowed", "mask"), FILTERS)
def test_a_filter_narrows_the_search(client: Any, narrowed: dict[str, Any], mask: Any) -> None:
    answer = query(client, topK=10, filter=narrowed, queryMode="ENHANCED")
    assert [hit["key"] for hit in answer["vectors"]] == exact_nearest(mask)[0][:10]


def test_many_results_come_in_pages_of_100(client: Any) -> None:
    asked = np.random.default_rng(1).standard_normal(DIMENSION).astype(np.float32).tolist()
    paginator = client.get_paginator("query_vectors")
    pages = list(paginator.paginate(**WHERE, topK=10_000, queryVector={"float32": asked}, returnDistance=True))
    assert [len(page["vectors"]) for page in pages] == [100] * 13
    hits = [hit for page in pages for hit in page["vectors"]]
    keys, distances = exact_nearest()
    assert [hit["key"] for hit in hits] == keys
    assert [hit["distance"] for hit in hits] == pytest.approx(distances, abs=1e-6)


def test_the_last_page_of_a_query_may_be_short(client: Any) -> None:
    first = query(client, topK=130)
    second = query(client, topK=130, nextToken=first["nextToken"])
    assert [len(page["vectors"]) for page in (first, second)] == [100, 30]
    assert "nextToken" not in second


def test_a_token_gives_the_same_page_again(client: Any) -> None:
    token = query(client, topK=300)["nextToken"]
    first, again = (query(client, topK=300, nextToken=token, returnMetadata=True)["vectors"] for _ in range(2))
    assert first == again
    assert [hit["key"] for hit in first] == exact_nearest()[0][100:200]


def test_writes_do_not_change_a_query_whose_pages_are_read(empty: Any) -> None:
    create_index(empty)
    vectors = [
        {"key": f"k{row}", "data": {"float32": MATRIX[row].tolist()}, "metadata": {"n": row}} for row in range(150)
    ]
    empty.put_vectors(**WHERE, vectors=vectors)
    token = query(empty, topK=150)["nextToken"]
    before = query(empty, topK=150, nextToken=token, returnMetadata=True)
    empty.delete_vectors(**WHERE, keys=[f"k{row}" for row in range(100)])
    assert query(empty, topK=150, nextToken=token, returnMetadata=True)["vectors"] == before["vectors"]


def test_what_is_written_is_found_at_once(empty: Any) -> None:
    create_index(empty)
    near, far = MATRIX[0].tolist(), (-MATRIX[0]).tolist()

    def nearest() -> list[Any]:
        answer = empty.query_vectors(**WHERE, topK=5, queryVector={"float32": near}, returnMetadata=True)
        found: list[Any] = answer["vectors"]
        return found

    empty.put_vectors(**WHERE, vectors=[{"key": "a", "data": {"float32": far}, "metadata": {"n": 1}}])
    empty.put_vectors(**WHERE, vectors=[{"key": "b", "data": {"float32": near}}])
    assert nearest() == [{"key": "b"}, {"key": "a", "metadata": {"n": 1}}]
    empty.put_vectors(**WHERE, vectors=[{"key": "b", "data": {"float32": far}, "metadata": {"n": 2}}])
    empty.put_vectors(**WHERE, vectors=[{"key": "a", "data": {"float32": near}}])
    assert nearest() == [{"key": "a"}, {"key": "b", "metadata": {"n": 2}}]
    empty.delete_vectors(**WHERE, keys=["a", "absent"])
    assert nearest() == [{"key": "b", "metadata": {"n": 2}}]


def test_an_index_that_is_made_again_is_empty(empty: Any) -> None:
    create_index(empty)
    empty.put_vectors(**WHERE, vectors=[{"key": "a", "data": {"float32": MATRIX[0].tolist()}}])
    empty.delete_index(**WHERE)
    empty.delete_vector_bucket(vectorBucketName=BUCKET)
    create_index(empty)
    assert empty.list_vectors(**WHERE)["vectors"] == []
