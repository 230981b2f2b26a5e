"""Endpoints: equal to botocore's, and configurable by the environment variables of all AWS SDKs."""

import itertools
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import BotoCoreError
from hypothesis import given
from hypothesis import strategies as st

from handler.aws.sdk.endpoints import Endpoint, read_endpoints
from handler.errors import SettingsError

LOADER: Any = botocore.session.get_session().get_component("data_loader")
PARTITIONS = LOADER.load_data("partitions")
REGIONS = [
    region
    for partition in PARTITIONS["partitions"]
    for region in partition["regions"]
    if not region.endswith("-global")
]
FUTURE_REGIONS = ["us-east-9", "cn-south-1", "us-gov-north-1", "xx-central-1"]
BUCKETS = ["uploads", "a.dotted.name", "Capital", "under_score", "x" * 63, "x" * 64, "ab1-s3alias"]


@cache
def rules(service: str) -> EndpointProvider:
    return EndpointProvider(LOADER.load_service_model(service, "endpoint-rule-set-1"), PARTITIONS)


def botocore_url(service: str, **parameters: object) -> str | None:
    """The URL by botocore's rules; None if they have none."""
    try:
        return rules(service).resolve_endpoint(**parameters).url
    except BotoCoreError:
        return None


def url(endpoint: Endpoint) -> str:
    return f"{endpoint.scheme}://{endpoint.authority}{endpoint.path}"


def environment(region: str, *, fips: bool = False, dualstack: bool = False) -> dict[str, str]:
    switches = {"AWS_USE_FIPS_ENDPOINT": fips, "AWS_USE_DUALSTACK_ENDPOINT": dualstack}
    return {"AWS_REGION": region} | {name: str(value).lower() for name, value in switches.items()}


@pytest.mark.parametrize(("fips", "dualstack"), list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize("region", REGIONS + FUTURE_REGIONS)
def test_endpoints_of_every_region_equal_botocores(region: str, fips: bool, dualstack: bool) -> None:
    switches = {"Region": region, "UseFIPS": fips, "UseDualStack": dualstack}
    if fips and region.startswith("cn-"):
        assert botocore_url("s3", Bucket="uploads", **switches) is None
        with pytest.raises(SettingsError, match="AWS_USE_FIPS_ENDPOINT"):
            read_endpoints(environment(region, fips=fips, dualstack=dualstack))
        return
    endpoints = read_endpoints(environment(region, fips=fips, dualstack=dualstack))
    assert url(endpoints.dynamodb()) == botocore_url("dynamodb", **switches)
    assert url(endpoints.s3vectors()) == botocore_url("s3vectors", Region=region, UseFIPS=fips)
    assert url(endpoints.secretsmanager()) == botocore_url("secretsmanager", **switches)
    for bucket in BUCKETS:
        assert url(endpoints.s3(bucket, region)) == botocore_url("s3", Bucket=bucket, **switches)


@given(bucket=st.text("ab1.-_", min_size=3, max_size=64))
def test_endpoints_of_every_bucket_equal_botocores(bucket: str) -> None:
    expected = botocore_url("s3", Bucket=bucket, Region="us-west-2")
    if expected is not None:
        assert url(read_endpoints(environment("us-west-2")).s3(bucket, "us-west-2")) == expected


def test_a_bucket_of_another_region_has_that_regions_endpoint() -> None:
    endpoints = read_endpoints(environment("us-east-1"))
    assert url(endpoints.s3("uploads", "eu-west-1")) == "https://uploads.s3.eu-west-1.amazonaws.com"


ONE, ALL = "http://127.0.0.1:4566", "https://all.example"


@pytest.mark.parametrize(
    ("variables", "s3", "dynamodb"),
    [
        ({"AWS_ENDPOINT_URL": ALL}, f"{ALL}/uploads", ALL),
        ({"AWS_ENDPOINT_URL": ALL, "AWS_ENDPOINT_URL_S3": ONE}, f"{ONE}/uploads", ALL),
        ({"AWS_ENDPOINT_URL": ALL, "AWS_ENDPOINT_URL_DYNAMODB": ONE}, f"{ALL}/uploads", ONE),
        ({"AWS_ENDPOINT_URL_S3": f"{ONE}/base/"}, f"{ONE}/base/uploads", "https://dynamodb.us-east-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL": "http://[::1]:8000"}, "http://[::1]:8000/uploads", "http://[::1]:8000"),
        ({"AWS_ENDPOINT_URL": "https://LOUD.example:443"}, "https://loud.example/uploads", "https://loud.example"),
        # As in botocore, FIPS does not change a custom endpoint.
        ({"AWS_ENDPOINT_URL": ALL, "AWS_USE_FIPS_ENDPOINT": "true"}, f"{ALL}/uploads", ALL),
        (
            {"AWS_ENDPOINT_URL": ALL, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            "https://uploads.s3.us-east-1.amazonaws.com",
            "https://dynamodb.us-east-1.amazonaws.com",
        ),
    ],
)
def test_custom_endpoints(variables: dict[str, str], s3: str, dynamodb: str) -> None:
    endpoints = read_endpoints({"AWS_REGION": "us-east-1", **variables})
    assert (url(endpoints.s3("uploads", "us-east-1")), url(endpoints.dynamodb())) == (s3, dynamodb)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"AWS_ENDPOINT_URL": ALL}, ALL),
        ({"AWS_ENDPOINT_URL": ALL, "AWS_ENDPOINT_URL_S3VECTORS": ONE}, ONE),
        ({"AWS_ENDPOINT_URL_S3": ONE}, "https://s3vectors.us-east-1.api.aws"),
        ({"AWS_ENDPOINT_URL": ALL, "AWS_USE_FIPS_ENDPOINT": "true"}, ALL),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "https://s3vectors.us-east-1.api.aws"),
    ],
)
def test_custom_endpoints_of_s3_vectors(variables: dict[str, str], expected: str) -> None:
    assert url(read_endpoints({"AWS_REGION": "us-east-1", **variables}).s3vectors()) == expected


def test_a_custom_endpoint_of_secrets_manager() -> None:
    variables = {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": ALL, "AWS_ENDPOINT_URL_SECRETS_MANAGER": ONE}
    assert url(read_endpoints(variables).secretsmanager()) == ONE
    assert url(read_endpoints({**variables, "AWS_ENDPOINT_URL_SECRETS_MANAGER": ""}).secretsmanager()) == ALL


def test_the_region_of_the_function_overrides_the_default() -> None:
    assert read_endpoints({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}).region == "eu-west-1"
    assert read_endpoints({"AWS_DEFAULT_REGION": "us-east-1"}).region == "us-east-1"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "AWS_REGION is not set"),
        ({"AWS_REGION": "us-east-1.evil.example/"}, "AWS_REGION is"),
        ({"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "127.0.0.1:4566"}, "AWS_ENDPOINT_URL is"),
        ({"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "ftp://host"}, "AWS_ENDPOINT_URL is"),
        ({"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL_S3": "http://host:x"}, "AWS_ENDPOINT_URL_S3 is"),
        ({"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL_S3": "http://a b"}, "AWS_ENDPOINT_URL_S3 is"),
        ({"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://"}, "AWS_ENDPOINT_URL is"),
        ({"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://host/?a=b"}, "AWS_ENDPOINT_URL is"),
    ],
)
def test_an_invalid_variable_is_named(variables: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_endpoints(variables)
