"""Secrets Manager over HTTP: requests that botocore's service model knows, and answers of any kind."""

import json

import pytest

from handler.aws.retries import attempt
from handler.aws.sdk.errors import InvalidResponseError, ServiceError
from handler.aws.sdk.secretsmanager import SecretsManager
from handler.errors import AccessDeniedError, RetryableError
from handler.timing import Deadline
from tests.support.loopback_aws import Response, State

SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:token-AbCdEf"


@pytest.fixture
def client(aws: State) -> SecretsManager:
    return SecretsManager(aws.clients.s3.client, aws.clients.s3.endpoints)


def answer(state: State, client: SecretsManager, response: Response) -> tuple[str, list[dict[str, str]]]:
    with state.server.answering(lambda _: response) as requests:
        text = client.get_secret_value(SECRET)
    assert [json.loads(request.body) for request in requests] == [{"SecretId": SECRET}]
    return text, [request.headers for request in requests]


def test_the_text_of_a_secret(aws: State, client: SecretsManager) -> None:
    text, (headers,) = answer(
        aws, client, Response(200, {}, json.dumps({"SecretString": "täxt", "ARN": SECRET}).encode())
    )
    assert text == "täxt"
    assert headers["x-amz-target"] == "secretsmanager.GetSecretValue"
    assert headers["content-type"] == "application/x-amz-json-1.1"
    assert "/us-east-1/secretsmanager/aws4_request" in headers["authorization"]


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, b'{"__type": "ResourceNotFoundException", "Message": "no"}', "ResourceNotFoundException"),
        (400, b'{"__type": "com.amazonaws.secretsmanager#DecryptionFailure"}', "DecryptionFailure"),
        (503, b"<html>", "503"),
        (500, b"[]", "500"),
    ],
)
def test_errors_have_the_services_codes(
    aws: State, client: SecretsManager, status: int, body: bytes, code: str
) -> None:
    with pytest.raises(ServiceError) as error:
        answer(aws, client, Response(status, {}, body))
    assert (error.value.status, error.value.code) == (status, code)


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"{}", b'{"SecretString": 5}', b'{"SecretBinary": "AAAA"}'])
def test_an_answer_without_a_text(aws: State, client: SecretsManager, body: bytes) -> None:
    with pytest.raises(InvalidResponseError, match="the secret has no text"):
        answer(aws, client, Response(200, {}, body))


def test_denied_access_and_throttling_are_told_apart(aws: State, client: SecretsManager) -> None:
    denied = Response(400, {}, b'{"__type": "AccessDeniedException"}')
    throttled = Response(400, {}, b'{"__type": "ThrottlingException"}')
    with aws.server.answering(lambda _: denied) as requests, pytest.raises(AccessDeniedError):
        attempt(lambda: client.get_secret_value(SECRET), Deadline(30))
    assert len(requests) == 1
    with aws.server.answering(lambda _: throttled) as requests, pytest.raises(RetryableError):
        attempt(lambda: client.get_secret_value(SECRET), Deadline(30))
    assert len(requests) == 5
