"""DynamoDB over HTTP: items are read as they were written, and errors have DynamoDB's codes."""

import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handler.aws.sdk.connections import Connections, Timeouts
from handler.aws.sdk.credentials import CredentialsProvider
from handler.aws.sdk.dynamodb import DynamoDB
from handler.aws.sdk.endpoints import read_endpoints
from handler.aws.sdk.errors import InvalidResponseError, ServiceError
from handler.aws.sdk.signed_client import SignedClient
from tests.support.loopback_aws import LoopbackAws, Response, State
from tests.unit.conftest import TABLE

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
# DynamoDB rejects empty names, and moto takes some names for types.
names = st.text("abcxyz_äß日", min_size=3, max_size=10)
numbers = st.integers(-(10**12), 10**12).map(str)
scalars = st.one_of(
    texts.map(lambda text: {"S": text}),
    numbers.map(lambda number: {"N": number}),
    st.binary(max_size=40).map(lambda data: {"B": data}),
    st.booleans().map(lambda truth: {"BOOL": truth}),
    st.just({"NULL": True}),
    st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=3, unique=True).map(lambda parts: {"BS": parts}),
    st.lists(texts.filter(bool), min_size=1, max_size=3, unique=True).map(lambda parts: {"SS": parts}),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: {"L": parts}),
        st.dictionaries(names, inner, max_size=3).map(lambda parts: {"M": parts}),
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(item=st.dictionaries(names, values, max_size=4))
def test_an_item_is_read_as_it_was_written(aws: State, item: dict[str, Any]) -> None:
    full_item: Any = {**item, "source": {"S": "s3://uploads/ä"}}
    aws.clients.dynamodb.put_item(TableName=TABLE, Item=full_item)
    key = {"source": full_item["source"]}
    assert sorted_sets(aws.operator.dynamodb.get_item(TableName=TABLE, Key=key)["Item"]) == sorted_sets(full_item)
    assert sorted_sets(aws.clients.dynamodb.get_item(TableName=TABLE, Key=key)["Item"]) == sorted_sets(full_item)


def sorted_sets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: sorted(inner) if name in {"BS", "SS"} else sorted_sets(inner) for name, inner in value.items()}
    return [sorted_sets(inner) for inner in value] if isinstance(value, list) else value


def test_several_items_are_read_as_they_were_written(aws: State) -> None:
    items: list[Any] = [{"source": {"S": f"s3://uploads/{number}"}, "b": {"B": bytes([number])}} for number in range(3)]
    for item in items:
        aws.clients.dynamodb.put_item(TableName=TABLE, Item=item)
    keys = [{"source": {"S": f"s3://uploads/{number}"}} for number in range(4)]
    answer = aws.clients.dynamodb.batch_get_item(RequestItems={TABLE: {"Keys": keys}})
    assert sorted(answer["Responses"][TABLE], key=lambda item: item["source"]["S"]) == items
    assert not answer["UnprocessedKeys"]


def test_a_missing_item_is_absent_from_the_response(aws: State) -> None:
    assert "Item" not in aws.clients.dynamodb.get_item(TableName=TABLE, Key={"source": {"S": "never"}})


def test_a_failed_condition_returns_the_stored_item(aws: State) -> None:
    item: Any = {"source": {"S": "a"}, "embedding": {"B": b"\0\xff"}}
    aws.clients.dynamodb.put_item(TableName=TABLE, Item=item)
    with pytest.raises(ServiceError) as caught:
        aws.clients.dynamodb.put_item(
            TableName=TABLE,
            Item=item,
            ConditionExpression="attribute_not_exists(#source)",
            ExpressionAttributeNames={"#source": "source"},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    error = caught.value
    assert (error.code, error.status, error.operation) == ("ConditionalCheckFailedException", 400, "PutItem")
    assert error.fields["Item"] == item


def test_put_item_returns_the_replaced_item(aws: State) -> None:
    item: Any = {"source": {"S": "a"}, "embedding": {"B": b"old"}}
    aws.clients.dynamodb.put_item(TableName=TABLE, Item=item)
    response = aws.clients.dynamodb.put_item(TableName=TABLE, Item={"source": {"S": "a"}}, ReturnValues="ALL_OLD")
    assert response["Attributes"] == item


# Requests and responses


@pytest.fixture
def dynamodb(loopback: LoopbackAws) -> Iterator[DynamoDB]:
    environment = {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-west-3",
        "AWS_ENDPOINT_URL_DYNAMODB": loopback.endpoint,
    }
    connections = Connections(Timeouts(2, 2))
    yield DynamoDB(SignedClient(connections, CredentialsProvider(environment)), read_endpoints(environment))
    connections.close()


def get(dynamodb: DynamoDB) -> Any:
    return dynamodb.get_item(TableName="t", Key={"source": {"S": "a"}})


def test_the_request_is_aws_json(loopback: LoopbackAws, dynamodb: DynamoDB) -> None:
    with loopback.answering(lambda _: Response(200, {}, b"{}")) as requests:
        dynamodb.put_item(TableName="t", Item={"source": {"S": "a"}, "embedding": {"B": b"\0\xff"}})
    (request,) = requests
    assert (request.method, request.target) == ("POST", "/")
    assert request.headers["content-type"] == "application/x-amz-json-1.0"
    assert request.headers["x-amz-target"] == "DynamoDB_20120810.PutItem"
    assert "/eu-west-3/dynamodb/aws4_request" in request.headers["authorization"]
    assert json.loads(request.body) == {"TableName": "t", "Item": {"source": {"S": "a"}, "embedding": {"B": "AP8="}}}


def test_the_response_is_compared_with_its_checksum(loopback: LoopbackAws, dynamodb: DynamoDB) -> None:
    body = b'{"Item": {"source": {"S": "a"}}}'
    with loopback.answering(lambda _: Response(200, {"x-amz-crc32": str(zlib.crc32(body))}, body)):
        assert get(dynamodb)["Item"] == {"source": {"S": "a"}}
    with (
        loopback.answering(lambda _: Response(200, {"x-amz-crc32": str(zlib.crc32(body))}, body.replace(b"a", b"b"))),
        pytest.raises(InvalidResponseError, match="checksum"),
    ):
        get(dynamodb)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"Item": 3}', b'{"Item": {"a": {}}}', b'{"Item": {"a": {"B": 7}}}', b"<html>"]
)
def test_an_invalid_response_is_an_error(loopback: LoopbackAws, dynamodb: DynamoDB, body: bytes) -> None:
    with loopback.answering(lambda _: Response(200, {}, body)), pytest.raises(InvalidResponseError):
        get(dynamodb)


ERRORS: dict[str, tuple[Response, str, str]] = {
    "an error of DynamoDB": (
        Response(400, {}, b'{"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "m"}'),
        "ThrottlingException",
        "m",
    ),
    "with a URL after the code": (
        Response(400, {}, b'{"__type": "ValidationException:http://internal", "Message": "M"}'),
        "ValidationException",
        "M",
    ),
    "a proxy's page": (Response(503, {}, b"<html>"), "503", ""),
    "without a type": (Response(400, {}, b'{"message": null}'), "400", ""),
    "without a body": (Response(413), "413", ""),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_has_its_code_and_message(loopback: LoopbackAws, dynamodb: DynamoDB, case: str) -> None:
    response, code, message = ERRORS[case]
    with loopback.answering(lambda _: response), pytest.raises(ServiceError) as caught:
        get(dynamodb)
    assert (caught.value.status, caught.value.code, caught.value.message) == (response.status, code, message)
