"""Presigned URLs and forms: equal to botocore's, for any key."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import boto3
import pytest
from botocore.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from handler.aws.sdk.credentials import CredentialsProvider
from handler.aws.sdk.endpoints import read_endpoints
from handler.aws.sdk.presigning import Presigner

MOMENT = datetime(2026, 11, 29, 12, 30, 15, tzinfo=UTC)
KEYS = [
    "plain.png",
    "a/b c+d.png",
    "Ünïcödé/日本語/🦆.jpg",
    "%2F",
    "//twice",
    "../up",
    "<script>&'\"",
    "~-._",
    "é" * 500,
]

keys = st.sampled_from(KEYS) | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)
buckets = st.sampled_from(["uploads", "a.dotted.name"])
tokens = st.sampled_from([None, "token/+=="])
regions = st.sampled_from(["us-east-1", "eu-central-2", "cn-north-1"])


def presigner(region: str, token: str | None) -> Presigner:
    environment = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    provider = CredentialsProvider(environment | ({"AWS_SESSION_TOKEN": token} if token else {}))
    return Presigner(read_endpoints({"AWS_REGION": region}), provider, MOMENT.timestamp)


def botocore(region: str, token: str | None, call: Any) -> Any:
    """What botocore's client gives at the same moment, with the endpoint of the bucket's region."""
    config = Config(
        signature_version="s3v4", s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"}
    )
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    naive = MOMENT.replace(tzinfo=None)
    client = boto3.Session("id", "secret", token, region_name=region).client(
        "s3", endpoint_url=f"https://s3.{region}.{suffix}", config=config
    )
    with (
        mock.patch("botocore.auth.get_current_datetime", return_value=naive),
        mock.patch("botocore.signers.get_current_datetime", return_value=naive),
    ):
        return call(client)


@settings(deadline=None, max_examples=40)
@given(bucket=buckets, key=keys, token=tokens, region=regions)
def test_a_url_equals_botocores(bucket: str, key: str, token: str | None, region: str) -> None:
    parameters = {"Bucket": bucket, "Key": key, "ResponseContentType": "image/png"}
    expected = botocore(
        region, token, lambda client: client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=900)
    )
    found = presigner(region, token).get(bucket, key, 900, [("response-content-type", "image/png")])
    ours, theirs = urlsplit(found), urlsplit(expected)
    assert (ours.scheme, ours.netloc, ours.path) == (theirs.scheme, theirs.netloc, theirs.path)
    assert dict(parse_qsl(ours.query)) == dict(parse_qsl(theirs.query))


@settings(deadline=None, max_examples=40)
@given(bucket=buckets, key=keys, token=tokens, region=regions, size=st.integers(1, 10**9))
def test_a_form_equals_botocores(bucket: str, key: str, token: str | None, region: str, size: int) -> None:
    options = {
        "Fields": {"Content-Type": "image/png"},
        "Conditions": [{"Content-Type": "image/png"}, ["content-length-range", 1, size]],
        "ExpiresIn": 900,
    }
    expected = botocore(region, token, lambda client: client.generate_presigned_post(bucket, key, **options))
    found = presigner(region, token).post(bucket, key, "image/png", size, 900)
    assert (found.url, found.fields) == (expected["url"], expected["fields"])


def test_the_policy_of_a_form_allows_one_upload() -> None:
    form = presigner("eu-central-2", "token").post("uploads", "jobs/a.png", "image/png", 100, 900)
    policy = json.loads(base64.b64decode(form.fields["policy"]))
    assert policy["expiration"] == "2026-11-29T12:45:15Z"
    assert policy["conditions"][:4] == [
        {"Content-Type": "image/png"},
        ["content-length-range", 1, 100],
        {"bucket": "uploads"},
        {"key": "jobs/a.png"},
    ]
    signed = {name for each in policy["conditions"] if isinstance(each, dict) for name in each} - {"bucket"}
    assert {*signed, "policy", "x-amz-signature"} == set(form.fields)


def test_the_secret_key_is_in_neither() -> None:
    made = presigner("eu-central-2", None)
    assert "secret" not in made.get("uploads", "a", 1)
    assert "secret" not in str(made.post("uploads", "a", "image/png", 1, 1))


@pytest.mark.parametrize(
    ("variables", "origin"),
    [
        ({}, "https://uploads.s3.us-east-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}, "http://127.0.0.1:4566"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "https://uploads.s3.dualstack.us-east-1.amazonaws.com"),
    ],
)
def test_the_origin_of_a_bucket(variables: dict[str, str], origin: str) -> None:
    provider = CredentialsProvider({})
    assert Presigner(read_endpoints({"AWS_REGION": "us-east-1", **variables}), provider).origin("uploads") == origin
