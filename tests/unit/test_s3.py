"""S3 over HTTP: requests equal to botocore's, and responses parsed."""

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from hypothesis import example, given, settings
from hypothesis import strategies as st

from handler.aws.sdk.connections import Connections, Timeouts
from handler.aws.sdk.credentials import CredentialsProvider
from handler.aws.sdk.endpoints import read_endpoints
from handler.aws.sdk.errors import InvalidResponseError, ServiceError
from handler.aws.sdk.s3 import S3
from handler.aws.sdk.signed_client import SignedClient
from tests.support.loopback_aws import LoopbackAws, Request, Response, State
from tests.unit.conftest import UPLOADS

KEYS = [
    "plain",
    "a/b/c.png",
    "two  spaces and a+plus.png",
    "100%.png",
    "%2F%20",
    "//twice//",
    "/leading",
    "./a",
    "a/../b",
    "..",
    "~tilde-._",
    "Ünïcödé/日本語/🦆.jpg",
    "quote'\"&<>;:@$=,?#[]{}|\\^`!*()",
    "tab\tand\nline",
    "é" * 512,
    "x" * 1024,
]


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_encoded_and_decoded_correctly(aws: State, key: str) -> None:
    s3 = aws.clients.s3
    s3.put_object(UPLOADS, key, b"bytes", "text/plain", if_absent=True)
    stored = aws.operator.s3.get_object(Bucket=UPLOADS, Key=key)
    assert (stored["Body"].read(), stored["ContentType"]) == (b"bytes", "text/plain")
    with s3.get_object(UPLOADS, key) as response:
        assert (response.size, response.etag, response.version_id) == (5, stored["ETag"], None)
        assert response.read() == b"bytes"
    (entry,) = s3.list_objects(UPLOADS, key).entries
    assert (entry.key, entry.etag, entry.size) == (key, stored["ETag"], 5)
    s3.delete_object(UPLOADS, key)
    assert "Contents" not in aws.operator.s3.list_objects_v2(Bucket=UPLOADS)


def test_metadata_of_an_object(aws: State) -> None:
    s3 = aws.clients.s3
    s3.put_with_metadata(UPLOADS, "a b.png", b"bytes", "image/png", {"files": "2", "normalize": "true"})
    stored = aws.operator.s3.head_object(Bucket=UPLOADS, Key="a b.png")
    assert (stored["Metadata"], stored["ContentType"]) == ({"files": "2", "normalize": "true"}, "image/png")
    head = s3.head_object(UPLOADS, "a b.png")
    assert (f'"{head.etag}"', head.metadata) == (stored["ETag"], {"files": "2", "normalize": "true"})
    with pytest.raises(ServiceError) as error:
        s3.head_object(UPLOADS, "none.png")
    assert (error.value.status, error.value.code) == (404, "404")
    assert s3.head_object(UPLOADS, "a b.png").etag == head.etag  # the connection can be used again


def test_a_listing_behind_a_key(aws: State) -> None:
    for key in ("a/1", "a/2", "a/3", "b/1"):
        aws.operator.s3.put_object(Bucket=UPLOADS, Key=key, Body=b"")
    listed = aws.clients.s3.list_after(UPLOADS, "a/", "a/1", 1)
    assert ([entry.key for entry in listed.entries], listed.next_token is None) == (["a/2"], False)
    listed = aws.clients.s3.list_after(UPLOADS, "a/", "a/11", 9)
    assert ([entry.key for entry in listed.entries], listed.next_token) == (["a/2", "a/3"], None)


# Requests equal to botocore's

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-3"}


def client(endpoint: str, **environment: str) -> S3:
    """An S3 client with its own settings."""
    variables = ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint} | environment
    return S3(SignedClient(Connections(Timeouts(2, 2)), CredentialsProvider(variables)), read_endpoints(variables))


@pytest.fixture(scope="module")
def our_s3(loopback: LoopbackAws) -> Iterator[S3]:
    s3 = client(loopback.endpoint)
    yield s3
    s3.client.connections.close()


@pytest.fixture(scope="module")
def botocore_s3(loopback: LoopbackAws) -> Any:
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    session = boto3.Session("id", "secret", region_name="eu-west-3")
    return session.client("s3", endpoint_url=loopback.endpoint, config=config)


def sent(server: LoopbackAws, call: Callable[[], object]) -> Request:
    """The request that a call sends."""
    with server.answering(lambda _: Response(200, {"etag": '"a"'}, b"<ListBucketResult/>")) as requests:
        call()
    (request,) = requests
    return request


def read(s3: S3, key: str) -> bytes:
    with s3.get_object(UPLOADS, key) as response:
        return response.read()


any_key = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@settings(deadline=None, max_examples=40)
@given(key=any_key, body=st.binary(max_size=40))
@example(key="a//b/../c/./+ %20", body=b"")
def test_requests_equal_botocores(loopback: LoopbackAws, our_s3: S3, botocore_s3: Any, key: str, body: bytes) -> None:
    calls: list[tuple[Callable[[], object], Callable[[], object]]] = [
        (
            lambda: read(our_s3, key),
            lambda: botocore_s3.get_object(Bucket=UPLOADS, Key=key)["Body"].read(None),
        ),
        (
            lambda: our_s3.put_object(UPLOADS, key, body, "text/plain", if_absent=True),
            lambda: botocore_s3.put_object(
                Bucket=UPLOADS, Key=key, Body=body, ContentType="text/plain", IfNoneMatch="*"
            ),
        ),
        (lambda: our_s3.delete_object(UPLOADS, key), lambda: botocore_s3.delete_object(Bucket=UPLOADS, Key=key)),
        (
            lambda: our_s3.list_objects(UPLOADS, key, delimiter="/", max_keys=7, token="a+/="),
            lambda: botocore_s3.list_objects_v2(
                Bucket=UPLOADS, Prefix=key, Delimiter="/", MaxKeys=7, ContinuationToken="a+/="
            ),
        ),
    ]
    for our_call, their_call in calls:
        our_request, their_request = sent(loopback, our_call), sent(loopback, their_call)
        assert (our_request.method, our_request.body, parts(our_request)) == (
            their_request.method,
            their_request.body,
            parts(their_request),
        )
        ignored = {"amz-sdk-invocation-id", "amz-sdk-request", "user-agent", "x-amz-date", "authorization", "expect"}
        headers = {name: value for name, value in their_request.headers.items() if name not in ignored}
        assert headers.items() <= our_request.headers.items()


def parts(request: Request) -> tuple[str, list[str]]:
    path, _, query = request.target.partition("?")
    return path, sorted(query.split("&"))


# Buckets in other regions


def region_of(request: Request) -> str:
    return request.headers["authorization"].split("/")[2]


OTHER_REGION: dict[str, Response] = {
    "permanent redirect": Response(
        301, {"x-amz-bucket-region": "eu-north-1"}, b"<Error><Code>PermanentRedirect</Code></Error>"
    ),
    "temporary redirect": Response(
        307, {"x-amz-bucket-region": "eu-north-1"}, b"<Error><Code>TemporaryRedirect</Code></Error>"
    ),
    "region in a header": Response(400, {"x-amz-bucket-region": "eu-north-1"}),
    "region in the body": Response(
        400, {}, b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-north-1</Region></Error>"
    ),
}


@pytest.mark.parametrize("case", OTHER_REGION)
def test_the_region_of_a_bucket_is_found_and_remembered(loopback: LoopbackAws, case: str) -> None:
    def respond(request: Request) -> Response:
        right = region_of(request) == "eu-north-1" or not request.target.startswith("/far")
        return Response(200, {"etag": '"a"'}, b"bytes") if right else OTHER_REGION[case]

    s3 = client(loopback.endpoint)
    with loopback.answering(respond) as requests:
        for bucket in ("far-away", "far-away", "near-by"):
            with s3.get_object(bucket, "a") as response:
                assert response.read() == b"bytes"
        s3.put_object("far-away", "b", b"body", "text/plain", if_absent=False)
    s3.client.connections.close()
    assert [region_of(request) for request in requests] == [
        "eu-west-3",
        "eu-north-1",
        "eu-north-1",
        "eu-west-3",
        "eu-north-1",
    ]


@pytest.mark.parametrize("reported", ["eu-west-3", "", "evil.example/", "eu-north-1"])
def test_a_redirect_is_followed_at_most_once(loopback: LoopbackAws, reported: str) -> None:
    redirect = Response(301, {"x-amz-bucket-region": reported}, b"<Error><Code>PermanentRedirect</Code></Error>")
    s3 = client(loopback.endpoint)
    with loopback.answering(lambda _: redirect) as requests, pytest.raises(ServiceError, match="PermanentRedirect"):
        s3.delete_object("far-away", "a")
    s3.client.connections.close()
    assert len(requests) == (2 if reported == "eu-north-1" else 1)


# Conditions, listings, checksums, errors


def test_an_object_is_overwritten_only_without_if_absent(aws: State) -> None:
    s3 = aws.clients.s3
    s3.put_object(UPLOADS, "a", b"first", "text/plain", if_absent=True)
    with pytest.raises(ServiceError) as caught:
        s3.put_object(UPLOADS, "a", b"second", "text/plain", if_absent=True)
    assert (caught.value.status, caught.value.code, caught.value.operation) == (412, "PreconditionFailed", "PutObject")
    assert aws.operator.s3.get_object(Bucket=UPLOADS, Key="a")["Body"].read() == b"first"
    s3.put_object(UPLOADS, "a", b"third", "text/plain", if_absent=False)
    assert aws.operator.s3.get_object(Bucket=UPLOADS, Key="a")["Body"].read() == b"third"


def test_a_listing_has_several_pages(aws: State) -> None:
    keys = sorted(f"p/{number} +%/ä" for number in range(7))
    for key in [*keys, "p/deeper", "other"]:
        aws.operator.s3.put_object(Bucket=UPLOADS, Key=key, Body=b"x")
    found: list[str] = []
    token, pages = None, 0
    while pages == 0 or token:
        page = aws.clients.s3.list_objects(UPLOADS, "p/", max_keys=3, token=token)
        found += [entry.key for entry in page.entries]
        token, pages = page.next_token, pages + 1
    assert (found, pages) == (sorted([*keys, "p/deeper"]), 3)
    assert [entry.key for entry in aws.clients.s3.list_objects(UPLOADS, "p/", delimiter="/").entries] == ["p/deeper"]


NAMESPACE = b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'


@pytest.mark.parametrize(
    ("encoding", "written", "key"),
    [(b"<EncodingType>url</EncodingType>", b"a+b%2Bc%25%0A", "a b+c%\n"), (b"", b"a+b%2Bc &amp; d", "a+b%2Bc & d")],
)
def test_keys_of_a_listing_are_decoded_if_encoded(
    loopback: LoopbackAws, our_s3: S3, encoding: bytes, written: bytes, key: str
) -> None:
    entry = b"<Contents><Key>" + written + b"</Key><ETag>&quot;e&quot;</ETag><Size>3</Size></Contents>"
    body = NAMESPACE + encoding + entry + b"<NextContinuationToken>a+b</NextContinuationToken></ListBucketResult>"
    with loopback.answering(lambda _: Response(200, {}, body)):
        page = our_s3.list_objects(UPLOADS, "a")
    assert [(entry.key, entry.etag, entry.size) for entry in page.entries] == [(key, '"e"', 3)]
    assert page.next_token == "a+b"


@pytest.mark.parametrize("body", [b"", b"<Error><Code>InternalError</Code></Error>", NAMESPACE[:30], b"<html></html>"])
def test_an_invalid_listing_is_an_error(loopback: LoopbackAws, our_s3: S3, body: bytes) -> None:
    with loopback.answering(lambda _: Response(200, {}, body)), pytest.raises(InvalidResponseError):
        our_s3.list_objects(UPLOADS, "a")


BODY = bytes(range(256)) * 9000
CHECKSUMS = {
    "crc32": base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode(),
    "sha1": base64.b64encode(hashlib.sha1(BODY, usedforsecurity=False).digest()).decode(),
    "sha256": base64.b64encode(hashlib.sha256(BODY).digest()).decode(),
}


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_the_body_is_compared_with_its_checksum(loopback: LoopbackAws, our_s3: S3, algorithm: str) -> None:
    headers = {"etag": '"a"', f"x-amz-checksum-{algorithm}": CHECKSUMS[algorithm]}
    with loopback.answering(lambda _: Response(200, headers, BODY)), our_s3.get_object(UPLOADS, "a") as response:
        assert response.read() == BODY
    changed = BODY[:-1] + b"\0"
    with (
        loopback.answering(lambda _: Response(200, headers, changed)),
        our_s3.get_object(UPLOADS, "a") as response,
        pytest.raises(InvalidResponseError, match="checksum"),
    ):
        response.read()


@pytest.mark.parametrize(
    "header", [{"x-amz-checksum-crc32": "AAAAAA==-3"}, {"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}]
)
def test_checksums_of_parts_and_unsupported_checksums_are_ignored(
    loopback: LoopbackAws, our_s3: S3, header: dict[str, str]
) -> None:
    response_of_s3 = Response(200, {"etag": '"a"', **header}, BODY)
    with loopback.answering(lambda _: response_of_s3), our_s3.get_object(UPLOADS, "a") as response:
        assert response.read() == BODY


ERRORS: dict[str, tuple[Response, str, str]] = {
    "an error of S3": (
        Response(
            404, {}, b"<?xml version='1.0'?>\n<Error><Code>NoSuchKey</Code><Message>Not &lt;here&gt;</Message></Error>"
        ),
        "NoSuchKey",
        "Not <here>",
    ),
    "with a namespace": (Response(503, {}, b'<Error xmlns="x"><Code>SlowDown</Code></Error>'), "SlowDown", ""),
    "without a body": (Response(403), "403", ""),
    "a proxy's page": (Response(502, {}, b"<html><body>Bad gateway<br></body></html>"), "502", ""),
    "another root element": (Response(500, {}, b"<Code>NoSuchKey</Code>"), "500", ""),
    "truncated": (Response(500, {}, b"<Error><Code>Inter"), "500", ""),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_has_its_code_and_message(loopback: LoopbackAws, our_s3: S3, case: str) -> None:
    response, code, message = ERRORS[case]
    with loopback.answering(lambda _: response), pytest.raises(ServiceError) as caught:
        our_s3.get_object(UPLOADS, "a")
    assert (caught.value.status, caught.value.code, caught.value.message) == (response.status, code, message)


@pytest.mark.parametrize("bucket", ["", "ab", "a/b", "../x", "a b", "bücket", "arn:aws:s3:::uploads", "a%2Fb"])
def test_an_invalid_bucket_name_is_refused_before_sending(loopback: LoopbackAws, our_s3: S3, bucket: str) -> None:
    with loopback.answering(lambda _: None) as requests, pytest.raises(ServiceError, match="InvalidBucketName"):
        our_s3.get_object(bucket, "a")
    assert requests == []
