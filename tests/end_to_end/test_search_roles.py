"""The roles of the indexer and of the search function allow exactly the actions that are needed.

The local AWS enforces the roles on the functions' calls of S3 Vectors and DynamoDB. As in test_triggers_and_role.py, it
does not enforce them on what Lambda itself does with a role: the tests write failure records with the role's
credentials, and check the rest with the policy simulator.
"""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from handler.index.names import index_name, vector_key
from tests.end_to_end.strict import OTHER_BUCKET, Strict, strict_stack
from tests.end_to_end.test_search import has_etag, search
from tests.end_to_end.test_triggers_and_role import FOR_LOGS_AND_TRACES, ONLY_WITH_A_KEY, is_denied
from tests.end_to_end.test_uploads import put
from tests.support.pictures import encoded, picture
from tests.support.processes import eventually

FOR_THE_INDEXER = [
    ("FindIndexes", "s3vectors:ListIndexes"),
    ("WriteIndexes", "s3vectors:CreateIndex"),
    ("WriteIndexes", "s3vectors:PutVectors"),
    ("WriteIndexes", "s3vectors:DeleteVectors"),
    ("WriteIndexes", "s3vectors:GetVectors"),
]
FOR_THE_STREAM = [
    ("ReadStream", "dynamodb:DescribeStream"),
    ("ReadStream", "dynamodb:GetRecords"),
    ("ReadStream", "dynamodb:GetShardIterator"),
    ("ReadStream", "dynamodb:ListStreams"),
]
FOR_FAILURE_RECORDS = [("WriteFailureRecords", "s3:PutObject"), ("FindFailureRecords", "s3:ListBucket")]
FOR_SEARCHES = [
    ("ReadItems", "dynamodb:GetItem"),
    ("SearchIndexes", "s3vectors:QueryVectors"),
    ("SearchIndexes", "s3vectors:GetVectors"),
]
DIMENSION = 4


@pytest.fixture(scope="module", params=["direct", "eventbridge"])
def strict(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strict]:
    with strict_stack(tmp_path_factory.mktemp(request.param), request.param) as made:
        for number in range(2):
            key = made.key(f"found-{number}")
            etag = put(made.stack, key, encoded(picture(64, 48, seed=number)))
            assert eventually(lambda key=key, etag=etag: has_etag(made.stack, key, etag), 60)  # type: ignore[misc]
        yield made


@pytest.fixture(scope="module")
def indexer(strict: Strict) -> Strict:
    return strict.with_role_of(strict.stack.indexer)


@pytest.fixture(scope="module")
def api(strict: Strict) -> Strict:
    return strict.with_role_of(strict.stack.api)


def test_an_upload_is_found(strict: Strict) -> None:
    first, second = (strict.stack.source(strict.key(f"found-{number}")) for number in range(2))
    answer = search(strict.stack, query={"source": first})
    assert second in [hit["source"] for hit in answer["hits"]]


def test_the_roles_allow_exactly_the_listed_actions(strict: Strict, indexer: Strict, api: Strict) -> None:
    has_key = "KmsKeyArn" in strict.parameters
    assert indexer.actions() == {
        *FOR_THE_INDEXER,
        *FOR_THE_STREAM,
        *FOR_FAILURE_RECORDS,
        *FOR_LOGS_AND_TRACES,
        *(ONLY_WITH_A_KEY if has_key else []),
    }
    assert api.actions() == {*FOR_SEARCHES, *FOR_LOGS_AND_TRACES, *(ONLY_WITH_A_KEY[:1] if has_key else [])}


def image(source: str, etag: str, fingerprint: str) -> dict[str, Any]:
    """An item as the stream has it."""
    vector = np.arange(1, DIMENSION + 1, dtype=np.float32).tobytes()
    return {
        "source": {"S": source},
        "status": {"S": "success"},
        "etag": {"S": etag},
        "fingerprint": {"S": fingerprint},
        "embedding": {"B": base64.b64encode(vector).decode()},
        "embedding_dtype": {"S": "float32"},
        "embedding_dim": {"N": str(DIMENSION)},
    }


def record(source: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any]:
    images = {"OldImage": old, "NewImage": new}
    change = {name: value for name, value in images.items() if value is not None}
    keys = {"Keys": {"source": {"S": source}}, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    return {"eventSource": "aws:dynamodb", "dynamodb": {**keys, **change}}


def indexes(indexer: Strict, name: str) -> bool:
    """Whether the indexer applies an insertion into a new index, an overwrite, a touch and a removal."""
    source = f"s3://bucket/{name}"
    fingerprint = vector_key(name)  # any hash: each call needs an index of its own
    first, second = image(source, "1", fingerprint), image(source, "2", fingerprint)
    touched = second | {"touched_at": {"S": "2026-01-01T00:00:00Z"}}
    for old, new in ((None, first), (first, second), (second, touched), (touched, None)):
        event = {"Records": [record(source, old, new)]}
        answer = indexer.stack.lambda_.invoke(FunctionName=indexer.function, Payload=json.dumps(event))
        if answer.get("FunctionError"):
            return False
    return True


@pytest.mark.parametrize(("sid", "action"), FOR_THE_INDEXER)
def test_the_indexer_needs_each_action(indexer: Strict, sid: str, action: str) -> None:
    assert indexes(indexer, f"with {action}")
    with indexer.without(sid, action):
        assert not indexes(indexer, f"without {action}")


@pytest.mark.parametrize(("sid", "action"), FOR_THE_STREAM)
def test_reading_the_stream_needs_each_action(indexer: Strict, sid: str, action: str) -> None:
    stream = indexer.stack.dynamodb.describe_table(TableName=indexer.stack.table)["Table"]["LatestStreamArn"]
    assert indexer.is_allowed(action, stream)
    with indexer.without(sid, action):
        assert not indexer.is_allowed(action, stream)
    assert not indexer.is_allowed(action, stream.replace(indexer.stack.table, "another"))


@pytest.mark.parametrize(("sid", "action"), FOR_FAILURE_RECORDS)
def test_writing_failure_records_needs_each_action(indexer: Strict, sid: str, action: str) -> None:
    s3, bucket = indexer.client("s3"), indexer.stack.results_bucket

    def write() -> None:
        s3.list_objects_v2(Bucket=bucket, Prefix="aws/lambda/")
        s3.put_object(Bucket=bucket, Key="aws/lambda/mapping/shard/record", Body=b"{}")

    write()
    with indexer.without(sid, action):
        assert is_denied(write)


@pytest.mark.parametrize(("sid", "action"), FOR_SEARCHES)
def test_searches_need_each_action(api: Strict, sid: str, action: str) -> None:
    def codes() -> list[str | None]:
        queries = [{"vector": [1.0] * 48}, {"source": api.stack.source(api.key("found-0"))}, {"source": "s3://a/none"}]
        return [search(api.stack, query=query).get("error_code") for query in queries]

    assert codes() == [None, None, "not_found"]
    with api.without(sid, action):
        assert "access_denied" in codes()


@pytest.mark.parametrize(("sid", "action"), FOR_LOGS_AND_TRACES)
def test_logs_and_traces_need_each_action(indexer: Strict, api: Strict, sid: str, action: str) -> None:
    for name, role in {"indexer": indexer, "api": api}.items():
        log = f"arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/dropvec-{name}:log-stream:a"
        resource = "*" if sid == "Trace" else log
        assert role.is_allowed(action, resource)
        with role.without(sid, action):
            assert not role.is_allowed(action, resource)
        assert sid == "Trace" or not role.is_allowed(action, resource.replace(f"-{name}", ""))


def test_the_indexer_may_do_nothing_else(indexer: Strict) -> None:
    stack = indexer.stack
    s3, table, vectors = (indexer.client(service) for service in ("s3", "dynamodb", "s3vectors"))
    source = {"source": {"S": stack.source(indexer.key("found-0"))}}
    allowed = {"put_vectors", "delete_vectors", "get_vectors", "create_index"}
    calls: list[Callable[[], object]] = [
        lambda: s3.get_object(Bucket=stack.uploads_bucket, Key=indexer.key("found-0")),
        lambda: s3.list_objects_v2(Bucket=stack.uploads_bucket),
        lambda: s3.get_object(Bucket=stack.results_bucket, Key="aws/lambda/mapping/shard/record"),
        lambda: s3.put_object(Bucket=stack.results_bucket, Key="result.json", Body=b""),
        lambda: s3.delete_object(Bucket=stack.results_bucket, Key="aws/lambda/mapping/shard/record"),
        lambda: s3.put_object(Bucket=OTHER_BUCKET, Key="aws/lambda/record", Body=b""),
        lambda: table.get_item(TableName=stack.table, Key=source),
        lambda: table.put_item(TableName=stack.table, Item=source),
        lambda: table.scan(TableName=stack.table),
        *vector_calls(stack.vector_bucket, vectors, allowed=allowed),
        *vector_calls(stack.vector_bucket, vectors, index="another"),
        lambda: indexer.client("lambda").invoke(FunctionName=stack.function, Payload=b"{}"),
    ]
    assert [number for number, call in enumerate(calls) if not is_denied(call)] == []


def test_the_search_function_may_do_nothing_else(api: Strict) -> None:
    stack = api.stack
    s3, table, vectors = (api.client(service) for service in ("s3", "dynamodb", "s3vectors"))
    source = {"source": {"S": stack.source(api.key("found-0"))}}
    calls: list[Callable[[], object]] = [
        lambda: s3.put_object(Bucket=stack.uploads_bucket, Key=api.key("new"), Body=b""),
        lambda: s3.delete_object(Bucket=stack.uploads_bucket, Key=api.key("found-0")),
        lambda: s3.put_object(Bucket=stack.results_bucket, Key="result.json", Body=b""),
        lambda: table.put_item(TableName=stack.table, Item=source),
        lambda: table.delete_item(TableName=stack.table, Key=source),
        lambda: table.scan(TableName=stack.table),
        lambda: table.get_item(TableName="another", Key=source),
        lambda: vectors.list_indexes(vectorBucketName=stack.vector_bucket),
        *vector_calls(stack.vector_bucket, vectors, allowed={"get_vectors", "query_vectors"}),
        *vector_calls(stack.vector_bucket, vectors, index="another"),
        lambda: api.client("sqs").send_message(QueueUrl=stack.queue_url, MessageBody="mine"),
    ]
    assert [number for number, call in enumerate(calls) if not is_denied(call)] == []


def test_the_embedding_function_may_not_use_the_index(strict: Strict) -> None:
    vectors = strict.client("s3vectors")
    calls = vector_calls(strict.stack.vector_bucket, vectors)
    assert [number for number, call in enumerate(calls) if not is_denied(call)] == []


def vector_calls(
    bucket: str | None,
    vectors: Any,
    index: str = index_name("a" * 64),
    allowed: set[str] = frozenset(),  # type: ignore[assignment]
) -> list[Callable[[], object]]:
    """Calls of S3 Vectors for an index that does not exist, except the allowed ones."""
    where = {"vectorBucketName": bucket, "indexName": index}
    vector = {"float32": [1.0]}
    members: dict[str, dict[str, Any]] = {
        "create_index": {**where, "dataType": "float32", "dimension": 1, "distanceMetric": "cosine"},
        "put_vectors": {**where, "vectors": [{"key": "a", "data": vector}]},
        "delete_vectors": {**where, "keys": ["a"]},
        "get_vectors": {**where, "keys": ["a"]},
        "query_vectors": {**where, "topK": 1, "queryVector": vector},
        "list_vectors": where,
        "get_index": where,
        "delete_index": where,
        "delete_vector_bucket": {"vectorBucketName": bucket},
    }
    return [
        lambda name=name, given=given: getattr(vectors, name)(**given)  # type: ignore[misc]
        for name, given in members.items()
        if name not in allowed
    ]


def test_the_kms_key_can_be_used_through_services_only(strict: Strict, indexer: Strict, api: Strict) -> None:
    if strict.mode != "direct":
        assert not [each for role in (indexer, api) for each in role.document["Statement"] if "kms" in str(each)]
        return
    services = {indexer.function: ["s3", "s3vectors", "dynamodb"], api.function: ["s3vectors", "dynamodb"]}
    for role in (indexer, api):
        key = strict.parameters["KmsKeyArn"]
        assert is_denied(lambda role=role, key=key: role.client("kms").decrypt(KeyId=key, CiphertextBlob=b"x"))  # type: ignore[misc]
        (one,) = (each for each in role.document["Statement"] if each["Sid"] == "UseTheKey")
        assert one["Resource"] == key
        via = one["Condition"]["StringEquals"]["kms:ViaService"]
        assert via == [f"{service}.us-east-1.amazonaws.com" for service in services[role.function]]
