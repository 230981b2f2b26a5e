"""The roles of the indexer and of the search function allow exactly the actions that are needed.

The local AWS enforces the roles on the functions' calls of S3 Vectors and DynamoDB. As in test_triggers_and_role.py, it
does not enforce them on what Lambda itself does with a role: the tests write failure records with the role's
credentials, and check the rest with the policy simulator.
"""

import base64
import json
import os
import ssl
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
import pytest

from handler.index.names import index_name, vector_key
from tests.end_to_end.strict import OTHER_BUCKET, Strict, client, strict_stack
from tests.end_to_end.test_search import has_etag, search
from tests.end_to_end.test_triggers_and_role import FOR_LOGS_AND_TRACES, ONLY_WITH_A_KEY, is_denied
from tests.end_to_end.test_uploads import put
from tests.support.functions import unqualified
from tests.support.http_api import BOUNDARY, Part, form, http_event
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
FOR_HTTP = [
    ("ReadPagesOfItems", "dynamodb:BatchGetItem"),
    ("ListUploads", "s3:ListBucket"),
    ("ReadUploads", "s3:GetObject"),
    ("WriteUploads", "s3:PutObject"),
    ("ReadToken", "secretsmanager:GetSecretValue"),
]
FOR_ENCRYPTED_UPLOADS = [("UseTheKeyForUploads", "kms:Decrypt"), ("UseTheKeyForUploads", "kms:GenerateDataKey")]
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
    with_a_key = {*ONLY_WITH_A_KEY[:1], *FOR_ENCRYPTED_UPLOADS} if has_key else set()
    assert api.actions() == {*FOR_SEARCHES, *FOR_HTTP, *FOR_LOGS_AND_TRACES, *with_a_key}


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


def http(api: Strict, method: str, path: str, **options: Any) -> tuple[int, Any]:
    """Send an HTTP event to the function; returns the status, and the JSON of the answer or its bytes."""
    headers = {"authorization": f"Bearer {api.stack.token}", **options.pop("headers", {})}
    event = http_event(method, path, urlencode(options.pop("query", {})), headers, **options)
    answer = api.stack.lambda_.invoke(FunctionName=api.function, Payload=json.dumps(event))
    assert not answer.get("FunctionError")
    payload = json.loads(answer["Payload"].read())
    return payload["statusCode"], payload["body"] if payload["isBase64Encoded"] else json.loads(payload["body"])


def restart(api: Strict) -> None:
    """Start the function anew, so that it reads the token again."""
    lambda_ = api.stack.lambda_
    variables = lambda_.get_function_configuration(FunctionName=api.function)["Environment"]["Variables"]
    changed = {**variables, "STARTED_FOR": uuid.uuid4().hex}
    lambda_.update_function_configuration(FunctionName=unqualified(api.function), Environment={"Variables": changed})


def use_http(api: Strict) -> list[str | None]:
    """The error codes of requests that need all actions of the API."""
    photo = form(Part("file", encoded(picture(64, 48)), "a.png"))
    kind = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    source = {"source": api.stack.source(api.key("found-0"))}
    restart(api)
    answers = [
        http(api, "GET", "/items"),
        http(api, "GET", "/thumbnails", query=source),
        http(api, "POST", "/jobs/clip_embedding", body=photo, headers=kind),
    ]
    return [content.get("error_code") if isinstance(content, dict) else None for _, content in answers]


@pytest.mark.parametrize(("sid", "action"), FOR_HTTP)
def test_http_needs_each_action(api: Strict, sid: str, action: str) -> None:
    assert use_http(api) == [None, None, None]
    with api.without(sid, action):
        assert "access_denied" in use_http(api)


def test_an_object_that_is_missing_is_not_an_error_of_the_role(api: Strict) -> None:
    key = api.key("gone")
    etag = put(api.stack, key, encoded(picture(64, 48, seed=7)))
    assert eventually(lambda: has_etag(api.stack, key, etag), 60)
    with api.without_notifications():
        api.stack.s3.delete_object(Bucket=api.stack.uploads_bucket, Key=key)
        status, content = http(api, "GET", "/thumbnails", query={"source": api.stack.source(key)})
    assert (status, content["error_code"]) == (404, "not_found")


def test_what_the_function_signs_is_allowed_to_its_role(api: Strict) -> None:
    request = json.dumps({"filename": "a.png", "content_type": "image/png"}).encode()
    status, given = http(api, "POST", "/uploads", body=request, headers={"content-type": "application/json"})
    assert status == 200
    context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
    data = encoded(picture(64, 48, seed=8))
    with httpx.Client(verify=context, trust_env=False) as client:
        changed = {**given["fields"], "x-amz-signature": "0" * 64}
        assert client.post(given["url"], data=changed, files={"file": data}).status_code == 403
        assert client.post(given["url"], data=given["fields"], files={"file": data}).status_code in {200, 201, 204}
        source = given["source"]
        key = source.removeprefix(api.stack.source(""))
        assert eventually(lambda: http(api, "GET", "/items", query={"source": source})[0] == 200, 60)
        accept = {"accept": "application/json"}
        _, image = http(api, "GET", "/images", query={"source": source}, headers=accept)
        assert client.get(image["url"]).content == data
        assert client.get(image["url"].replace(key.rpartition("/")[2], "b.png")).status_code == 403


def test_anyone_may_use_the_url_and_needs_the_token(api: Strict) -> None:
    with httpx.Client(base_url=api.stack.api_url or "", trust_env=False) as client:
        assert client.get("/health").json()["status"] == "ok"
        assert client.get("/items").status_code == 401
        assert client.get("/items", headers={"authorization": f"Bearer {api.stack.token}"}).status_code == 200


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
    s3, table, vectors, secrets = (api.client(service) for service in ("s3", "dynamodb", "s3vectors", "secretsmanager"))
    source = {"source": {"S": stack.source(api.key("found-0"))}}
    calls: list[Callable[[], object]] = [
        *([] if api.mode != "eventbridge" else outside_of_the_filters(api)),
        lambda: s3.put_object(Bucket=stack.uploads_bucket, Key=api.key("new"), Body=b""),
        lambda: s3.put_object(Bucket=stack.uploads_bucket, Key="other/jobs/a.png", Body=b""),
        lambda: s3.delete_object(Bucket=stack.uploads_bucket, Key=api.key("found-0")),
        lambda: s3.list_objects_v2(Bucket=stack.results_bucket),
        lambda: s3.get_object(Bucket=stack.results_bucket, Key="any"),
        lambda: s3.get_object(Bucket=OTHER_BUCKET, Key=api.key("found-0")),
        lambda: s3.put_object(Bucket=OTHER_BUCKET, Key=api.key("jobs/a"), Body=b""),
        lambda: secrets.put_secret_value(SecretId=secret_of(api), SecretString="mine"),
        secrets.list_secrets,
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


def secret_of(api: Strict) -> str:
    (secret,) = client(api.stack.endpoint, "secretsmanager").list_secrets()["SecretList"]
    arn: str = secret["ARN"]
    return arn


def outside_of_the_filters(api: Strict) -> list[Callable[[], object]]:
    s3, bucket = api.client("s3"), api.stack.uploads_bucket
    return [
        lambda: s3.list_objects_v2(Bucket=bucket),
        lambda: s3.list_objects_v2(Bucket=bucket, Prefix="i"),
        lambda: s3.get_object(Bucket=bucket, Key="in/a.jpg"),
        lambda: s3.get_object(Bucket=bucket, Key="a.png"),
        lambda: s3.put_object(Bucket=bucket, Key="jobs/a.png", Body=b""),
        lambda: s3.put_object(Bucket=bucket, Key="in/jobs/a.jpg", Body=b""),
    ]


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
    (one,) = (each for each in api.document["Statement"] if each["Sid"] == "UseTheKeyForUploads")
    assert one["Resource"] == strict.parameters["KmsKeyArn"]
    via = one["Condition"]["StringEquals"]["kms:ViaService"]
    assert via == ["s3.us-east-1.amazonaws.com", "secretsmanager.us-east-1.amazonaws.com"]
