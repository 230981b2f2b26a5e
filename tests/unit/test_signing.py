"""Signatures: equal to AWS's examples, and to botocore's for any request."""

import calendar
import hashlib
import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import SIGNED_HEADERS_BLACKLIST, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from botocore.handlers import add_recursion_detection_header
from hypothesis import given
from hypothesis import strategies as st

from handler.aws.sdk.connections import Connections, Timeouts
from handler.aws.sdk.credentials import CredentialsProvider
from handler.aws.sdk.endpoints import Endpoint
from handler.aws.sdk.signed_client import SignedClient, trace_header
from handler.aws.sdk.signing import (
    Credentials,
    CredentialScope,
    UnsignedRequest,
    authorization_header,
    encode_query,
    percent_encode,
    signed_headers,
)

# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None)
HOST = {"host": "examplebucket.s3.amazonaws.com"}
S3_EXAMPLES = {
    "get an object": (
        UnsignedRequest("GET", "/test.txt", (), HOST | {"range": "bytes=0-9"}, b""),
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put an object": (
        UnsignedRequest(
            "PUT",
            "/test%24file.text",
            (),
            HOST | {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            b"Welcome to Amazon S3.",
        ),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "get a setting": (
        UnsignedRequest("GET", "/", [("lifecycle", "")], HOST, b""),
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list": (
        UnsignedRequest("GET", "/", [("prefix", "J"), ("max-keys", "2")], HOST, b""),
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


def unix_time(timestamp: str) -> float:
    return calendar.timegm(time.strptime(timestamp, "%Y%m%dT%H%M%SZ"))


@pytest.mark.parametrize("name", S3_EXAMPLES)
def test_examples_of_the_s3_documentation(name: str) -> None:
    request, signature = S3_EXAMPLES[name]
    signed = signed_headers(request, EXAMPLE, CredentialScope("us-east-1", "s3", unix_time("20130524T000000Z")))
    names = ";".join(sorted({*request.headers, "x-amz-content-sha256", "x-amz-date"}))
    assert signed["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


def test_an_example_of_the_aws_test_suite() -> None:
    credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
    headers = {"host": "example.amazonaws.com", "x-amz-date": "20150830T123600Z"}
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    scope = CredentialScope("us-east-1", "service", unix_time("20150830T123600Z"))
    assert authorization_header(UnsignedRequest("GET", "/", (), headers, b""), empty, credentials, scope).endswith(
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )


def test_repr_hides_secrets() -> None:
    assert "hush" not in repr(Credentials("id", "hush", "hush"))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
header_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
header_names = st.from_regex(r"x-amz-meta-[a-z0-9-]{1,12}", fullmatch=True)
regions = st.sampled_from(["us-east-1", "eu-central-2", "cn-north-1"])


requests = st.builds(
    UnsignedRequest,
    method=st.sampled_from(["GET", "PUT", "DELETE"]),
    path=texts.map(lambda key: "/" + percent_encode(key, safe="/")),
    query=st.dictionaries(texts.filter(bool), texts, max_size=4).map(lambda query: list(query.items())),
    headers=st.dictionaries(header_names, header_values, max_size=4).map(
        lambda more: {"host": "bucket.example", **more}
    ),
    body=st.binary(max_size=64),
)


@given(request=requests, token=st.none() | st.text("abcABC/+=", min_size=1), region=regions)
def test_signatures_for_s3_equal_botocores(request: UnsignedRequest, token: str | None, region: str) -> None:
    url = f"http://bucket.example{request.path}"
    expected = AWSRequest(request.method, url, dict(request.headers), request.body, dict(request.query))
    S3SigV4Auth(BotocoreCredentials("id", "secret", token), "s3", region).add_auth(expected)
    scope = CredentialScope(region, "s3", unix_time(expected.headers["X-Amz-Date"]))
    signed = signed_headers(request, Credentials("id", "secret", token), scope)
    assert signed["authorization"] == expected.headers["Authorization"]
    assert signed["x-amz-content-sha256"] == expected.headers["X-Amz-Content-SHA256"]
    assert signed.get("x-amz-security-token") == expected.headers.get("X-Amz-Security-Token")


@given(target=st.sampled_from(["GetItem", "PutItem"]), body=st.binary(max_size=64), region=regions)
def test_signatures_for_dynamodb_equal_botocores(target: str, body: bytes, region: str) -> None:
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"DynamoDB_20120810.{target}"}
    digest = {"X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()}  # botocore signs this header only if it is set
    expected = AWSRequest("POST", "https://dynamodb.example/", headers | digest, body)
    SigV4Auth(BotocoreCredentials("id", "secret"), "dynamodb", region).add_auth(expected)
    request = UnsignedRequest("POST", "/", (), {"host": "dynamodb.example", **headers}, body)
    scope = CredentialScope(region, "dynamodb", unix_time(expected.headers["X-Amz-Date"]))
    signed = signed_headers(request, Credentials("id", "secret", None), scope)
    assert signed["authorization"] == expected.headers["Authorization"]


@given(operation=st.sampled_from(["QueryVectors", "PutVectors"]), body=st.binary(max_size=64), region=regions)
def test_signatures_for_s3_vectors_equal_botocores(operation: str, body: bytes, region: str) -> None:
    host, headers = f"s3vectors.{region}.api.aws", {"content-type": "application/json"}
    digest = {"X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()}
    expected = AWSRequest("POST", f"https://{host}/{operation}", headers | digest, body)
    SigV4Auth(BotocoreCredentials("id", "secret"), "s3vectors", region).add_auth(expected)
    request = UnsignedRequest("POST", f"/{operation}", (), {"host": host, **headers}, body)
    scope = CredentialScope(region, "s3vectors", unix_time(expected.headers["X-Amz-Date"]))
    signed = signed_headers(request, Credentials("id", "secret", None), scope)
    assert signed["authorization"] == expected.headers["Authorization"]


@given(query=st.dictionaries(texts.filter(bool), texts, max_size=5))
def test_an_encoded_query_decodes_to_the_same_values(query: dict[str, str]) -> None:
    sent = encode_query(list(query.items()))
    assert urlsplit(f"http://host/?{sent}").query == sent
    assert dict(parse_qsl(sent, keep_blank_values=True)) == query


# The trace header, which is not signed

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a87bd80c:0"


@pytest.mark.parametrize("trace", [TRACE, "Root=a b\n;Sampled=é", "", None])
@pytest.mark.parametrize("in_lambda", [True, False])
def test_the_trace_header_is_the_one_that_botocore_sends(
    monkeypatch: pytest.MonkeyPatch, trace: str | None, in_lambda: bool
) -> None:
    variables = {"_X_AMZN_TRACE_ID": trace, "AWS_LAMBDA_FUNCTION_NAME": "dropvec" if in_lambda else None}
    for name, value in variables.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    theirs: dict[str, dict[str, str]] = {"headers": {}}
    add_recursion_detection_header(theirs)
    headers = trace_header()
    assert headers == {name.lower(): value for name, value in theirs["headers"].items()}
    assert "x-amzn-trace-id" in SIGNED_HEADERS_BLACKLIST


def test_every_call_has_the_trace_of_its_invocation(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, str]] = []

    class Recorder(Connections):
        def send(self, _endpoint: object, _method: str, _target: str, headers: Any, _body: bytes) -> Any:
            sent.append(dict(headers))

    variables = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    client = SignedClient(Recorder(Timeouts(1, 1)), CredentialsProvider(variables))
    request = UnsignedRequest("GET", "/", (), {}, b"")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "dropvec")
    for number in range(2):
        monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Root=1-{number}")
        client.send(Endpoint("https", "s3.example", 443), request, service="s3", region="eu-west-1")
    assert [headers["x-amzn-trace-id"] for headers in sent] == ["Root=1-0", "Root=1-1"]
    assert all("x-amzn-trace-id" not in headers["authorization"] for headers in sent)
