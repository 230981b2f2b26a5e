"""What `deploy` checks before it changes anything, with the answers that AWS documents."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.loaders import create_loader

from handler.aws.sdk.endpoints import dns_suffix
from infra.common.errors import CheckError
from infra.common.paths import TEMPLATE
from infra.common.template import load
from infra.deploy import registry
from infra.deploy.checks import check
from infra.deploy.images import with_images
from infra.deploy.parameters import check_parameters
from infra.deploy.plan import Plan
from infra.deploy.registry import find_image, parse_uri, registry_host
from tests.support.stubbed_account import ID, Stubbed, stubbed_account

HOST = f"{ID}.dkr.ecr.eu-west-1.amazonaws.com"
URI = f"{HOST}/dropvec:1"
DIGEST = f"sha256:{'a' * 64}"
TOPIC = f"arn:aws:sns:eu-west-1:{ID}:alarms"
OFF = {"Search": "false"}


@pytest.fixture
def aws() -> Iterator[Stubbed]:
    with stubbed_account() as stubbed:
        yield stubbed


def existing(**parameters: str) -> dict[str, Any]:
    """A deployed stack with these parameters."""
    defaults = {name: str(one.get("Default", "")) for name, one in load(TEMPLATE)["Parameters"].items()}
    values = {**defaults, "ImageUri": f"{HOST}/dropvec@{DIGEST}", **parameters}
    return {
        "StackStatus": "UPDATE_COMPLETE",
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
        "Outputs": [{"OutputKey": "UploadsBucket", "OutputValue": "dropvec-uploads"}],
    }


def update(given: dict[str, str], **deployed: str) -> Plan:
    return Plan("dropvec", existing(**OFF | deployed), given)


def refused(aws: Stubbed, plan: Plan) -> str:
    with pytest.raises(CheckError) as caught:
        check(aws.account, plan)
    text = str(caught.value)
    assert "\n" not in text
    return text


# The account's concurrency


def limits(aws: Stubbed, quota: int, unreserved: int) -> None:
    account = {"ConcurrentExecutions": quota, "UnreservedConcurrentExecutions": unreserved}
    aws.answer("lambda_", "get_account_settings", {"AccountLimit": account})


@pytest.mark.parametrize(
    ("account", "wanted", "reserved", "available"),
    [
        ((1000, 1000), 900, 0, None),
        ((1000, 1000), 901, 0, 900),
        ((1000, 110), 10, 0, None),
        ((1000, 109), 10, 0, 9),
        ((1000, 100), 30, 20, 20),  # its own reservation counts
        ((1000, 110), 30, 20, None),
        ((10, 10), 2, 0, 0),  # a new account
        ((50, 50), 2, 0, 0),
    ],
)
def test_what_direct_reserves_must_leave_a_hundred(
    aws: Stubbed, account: tuple[int, int], wanted: int, reserved: int, available: int | None
) -> None:
    quota, unreserved = account
    limits(aws, quota, unreserved)
    deployed = {"Trigger": "direct", "MaximumConcurrency": str(reserved)} if reserved else {}
    plan = update({"Trigger": "direct", "MaximumConcurrency": str(wanted)}, **deployed)
    if available is None:
        check(aws.account, plan)
    else:
        text = refused(aws, plan)
        assert f"lets this stack reserve {available} (of {quota} in eu-west-1, {min(100, quota)} must stay" in text


def test_no_reservation_is_no_question(aws: Stubbed) -> None:
    check(aws.account, update({"MaximumConcurrency": "1000"}))
    check(aws.account, update({"MemorySize": "3008"}, Trigger="direct", MaximumConcurrency="10"))


# An existing bucket


def bucket(aws: Stubbed, region: str | None = "eu-west-1") -> None:
    headers = {"x-amz-bucket-region": region} if region else {}
    metadata: dict[str, Any] = {"ResponseMetadata": {"HTTPHeaders": headers, "HTTPStatusCode": 200}}
    aws.answer("s3", "head_bucket", metadata, Bucket="photos", ExpectedBucketOwner=ID)


@pytest.mark.parametrize("region", ["eu-west-1", None])
def test_a_bucket_of_this_account_and_region_is_accepted(aws: Stubbed, region: str | None) -> None:
    bucket(aws, region)
    check(aws.account, update({"ExistingBucket": "photos"}))


def test_a_bucket_in_another_region_is_refused(aws: Stubbed) -> None:
    bucket(aws, "eu-central-1")
    assert "deploy with AWS_REGION=eu-central-1" in refused(aws, update({"ExistingBucket": "photos"}))


@pytest.mark.parametrize(
    ("code", "status", "text"), [("404", 404, "there is no bucket photos"), ("403", 403, "does not belong to")]
)
def test_a_bucket_that_is_missing_or_not_ours_is_refused(aws: Stubbed, code: str, status: int, text: str) -> None:
    aws.refuse("s3", "head_bucket", code, status)
    assert text in refused(aws, update({"ExistingBucket": "photos"}))


def test_a_bucket_that_the_stack_uses_already_is_not_checked_again(aws: Stubbed) -> None:
    """Its owner may have removed the permission; the deployment does not need it."""
    check(aws.account, update({"ExistingBucket": "photos", "MemorySize": "3008"}, ExistingBucket="photos"))


# Log groups


def log_groups(aws: Stubbed, name: str, *found: str) -> None:
    groups = {"logGroups": [{"logGroupName": one} for one in found]}
    aws.answer("logs", "describe_log_groups", groups, logGroupNamePrefix=f"/aws/lambda/{name}", limit=1)


def no_bucket(aws: Stubbed) -> None:
    aws.refuse("s3", "head_bucket", "404", 404)


def test_a_log_group_of_the_same_name_is_refused(aws: Stubbed) -> None:
    no_bucket(aws)
    log_groups(aws, "dropvec", "/aws/lambda/dropvec")
    text = refused(aws, Plan("dropvec", None, {"ImageUri": URI, **OFF}))
    assert "`aws logs delete-log-group --region eu-west-1 --log-group-name /aws/lambda/dropvec`" in text


@pytest.mark.parametrize("found", [(), ("/aws/lambda/dropvec-old",)])
def test_a_log_group_of_a_longer_name_is_not_in_the_way(aws: Stubbed, found: tuple[str, ...]) -> None:
    no_bucket(aws)
    log_groups(aws, "dropvec", *found)
    check(aws.account, Plan("dropvec", None, {"ImageUri": URI, **OFF}))


def test_search_has_log_groups_of_its_own(aws: Stubbed) -> None:
    log_groups(aws, "dropvec-indexer")
    log_groups(aws, "dropvec-api", "/aws/lambda/dropvec-api")
    assert "/aws/lambda/dropvec-api already exists" in refused(aws, update({"Search": "true"}))


# Services that not all regions offer


def offered(aws: Stubbed, name: str, code: str | None = None) -> None:
    if code:
        aws.refuse("cloudformation", "describe_type", code)
    else:
        aws.answer("cloudformation", "describe_type", {"TypeName": name}, Type="RESOURCE", TypeName=name)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (None, None),
        ("TypeNotFoundException", "S3 Vectors is not offered in eu-west-1: deploy without search (SET=Search=false)"),
        ("AccessDenied", "you lack the permission cloudformation:DescribeType"),
    ],
)
def test_a_region_without_s3_vectors_is_refused(aws: Stubbed, code: str | None, text: str | None) -> None:
    for name in ("dropvec-indexer", "dropvec-api"):
        log_groups(aws, name)
    offered(aws, "AWS::S3Vectors::VectorBucket", code)
    plan = update({"Search": "true"})
    if text:
        assert text in refused(aws, plan)
    else:
        check(aws.account, plan)


def test_a_region_without_function_urls_is_refused(aws: Stubbed) -> None:
    offered(aws, "AWS::Lambda::Url", "TypeNotFoundException")
    plan = Plan("dropvec", existing(Search="true", Api="none"), {"Api": "token"})
    assert "function URLs are not offered in eu-west-1: deploy without one (SET=Api=none)" in refused(aws, plan)
    check(aws.account, Plan("dropvec", existing(Search="true", Api="iam"), {"Api": "token"}))


# The alarm topic


def test_a_topic_that_exists_is_accepted(aws: Stubbed) -> None:
    aws.answer("sns", "get_topic_attributes", {"Attributes": {"TopicArn": TOPIC}}, TopicArn=TOPIC)
    check(aws.account, update({"AlarmTopicArn": TOPIC}))


@pytest.mark.parametrize(
    ("topic", "code", "text"),
    [
        (TOPIC, "NotFound", f"there is no alarm topic {TOPIC}"),
        (TOPIC, "AuthorizationError", "you lack the permission sns:GetTopicAttributes"),
        (TOPIC.replace("eu-west-1", "us-east-1"), None, "an alarm in eu-west-1 needs a topic there"),
    ],
)
def test_a_topic_that_cannot_be_used_is_refused(aws: Stubbed, topic: str, code: str | None, text: str) -> None:
    if code:
        aws.refuse("sns", "get_topic_attributes", code, 403)
    assert text in refused(aws, update({"AlarmTopicArn": topic}))


def test_a_topic_of_another_account_need_not_be_readable(aws: Stubbed) -> None:
    aws.refuse("sns", "get_topic_attributes", "AuthorizationError", 403)
    check(aws.account, update({"AlarmTopicArn": TOPIC.replace(ID, "210987654321")}))


# The stack's status


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ("ROLLBACK_COMPLETE", "run `make destroy` first"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback --stack-name dropvec"),
        ("UPDATE_IN_PROGRESS", "wait until that ends"),
    ],
)
def test_a_stack_that_cannot_be_updated_is_refused(aws: Stubbed, status: str, text: str) -> None:
    plan = Plan("dropvec", {**existing(), "StackStatus": status}, {})
    assert text in refused(aws, plan)


# A missing permission, for each call


DENIED = [
    ("lambda:GetAccountSettings", ("lambda_", "get_account_settings", "AccessDeniedException"), {"Trigger": "direct"}),
    ("logs:DescribeLogGroups", ("logs", "describe_log_groups", "AccessDeniedException"), {"Search": "true"}),
    ("s3:ListBucket", ("s3", "head_bucket", "403"), {"ExistingBucket": "photos"}),
]


@pytest.mark.parametrize(("action", "call", "given"), DENIED)
def test_a_missing_permission_is_named(
    aws: Stubbed, action: str, call: tuple[str, str, str], given: dict[str, str]
) -> None:
    aws.refuse(*call, 403)
    assert f"you lack the permission {action}" in refused(aws, update(given))


# Images


def image(aws: Stubbed, uri: str, architecture: str = "amd64", **config: str) -> None:
    """Answer with an image: BatchGetImage, and the URL of its configuration."""
    parts = parse_uri(uri, "eu-west-1")
    data = json.dumps({"architecture": architecture, "os": "linux", **config}).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    BLOBS[digest] = data
    answer_image(aws, uri, {"config": {"digest": digest}})
    aws.answer(
        "ecr",
        "get_download_url_for_layer",
        {"downloadUrl": f"https://bucket/{digest}", "layerDigest": digest},
        registryId=parts.account,
        repositoryName=parts.repository,
        layerDigest=digest,
    )


def answer_image(aws: Stubbed, uri: str, manifest: dict[str, Any]) -> None:
    parts = parse_uri(uri, "eu-west-1")
    wanted = {"imageDigest": parts.digest} if parts.digest else {"imageTag": parts.tag}
    found = {"imageId": {"imageDigest": parts.digest or DIGEST}, "imageManifest": json.dumps(manifest)}
    aws.answer(
        "ecr",
        "batch_get_image",
        {"images": [found], "failures": []},
        registryId=parts.account,
        repositoryName=parts.repository,
        imageIds=[wanted],
        acceptedMediaTypes=list(registry.MEDIA_TYPES),
    )


BLOBS: dict[str, bytes] = {}


@pytest.fixture(autouse=True)
def blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "download", lambda url: BLOBS[url.rpartition("/")[2]])


@pytest.mark.parametrize(("architecture", "expected"), [("amd64", "x86_64"), ("arm64", "arm64")])
def test_a_tag_becomes_a_digest_and_the_architecture_is_set(aws: Stubbed, architecture: str, expected: str) -> None:
    image(aws, URI, architecture)
    plan = with_images(aws.account, Plan("dropvec", None, {"ImageUri": URI}))
    assert plan.wanted["ImageUri"] == f"{HOST}/dropvec@{DIGEST}"
    assert plan.wanted["Architecture"] == expected
    assert ("Architecture" in plan.given) == (expected != "x86_64")


def test_an_image_of_another_account_is_asked_for_there(aws: Stubbed) -> None:
    uri = URI.replace(ID, "210987654321")
    image(aws, uri)
    assert find_image(aws.account, uri).uri == f"210987654321.dkr.ecr.eu-west-1.amazonaws.com/dropvec@{DIGEST}"


@pytest.mark.parametrize("given", ["Architecture", "ApiImageUri"])
def test_images_of_another_architecture_are_refused(aws: Stubbed, given: str) -> None:
    other = URI.replace(":1", ":2")
    image(aws, URI if given == "Architecture" else other, "arm64")
    plan = {
        "Architecture": Plan("dropvec", None, {"ImageUri": URI, "Architecture": "x86_64"}),
        "ApiImageUri": update({"ApiImageUri": other}),
    }[given]
    if given == "ApiImageUri":
        image(aws, plan.wanted["ImageUri"])
    with pytest.raises(CheckError, match="is built for arm64, and the functions for x86_64"):
        with_images(aws.account, plan)


def test_another_architecture_needs_all_images(aws: Stubbed) -> None:
    image(aws, URI, "arm64")
    image(aws, f"{HOST}/dropvec@sha256:{'b' * 64}")
    plan = update({"ImageUri": URI}, ApiImageUri=f"{HOST}/dropvec@sha256:{'b' * 64}")
    with pytest.raises(CheckError, match="ApiImageUri is built for x86_64, and the functions for arm64"):
        with_images(aws.account, plan)


def test_the_deployed_image_is_checked_against_another_architecture(aws: Stubbed) -> None:
    plan = update({"Architecture": "arm64"})
    image(aws, plan.wanted["ImageUri"])
    with pytest.raises(CheckError, match="ImageUri is built for x86_64"):
        with_images(aws.account, plan)


def test_without_a_new_image_the_registry_is_not_asked(aws: Stubbed) -> None:
    plan = update({"MemorySize": "3008"})
    assert with_images(aws.account, plan) == plan


def test_an_index_of_images_is_refused(aws: Stubbed) -> None:
    answer_image(aws, URI, {"manifests": [{"digest": DIGEST}]})
    with pytest.raises(CheckError, match=r"index of several images.*--provenance=false"):
        find_image(aws.account, URI)


def test_an_architecture_that_lambda_lacks_is_refused(aws: Stubbed) -> None:
    image(aws, URI, "riscv64")
    with pytest.raises(CheckError, match="built for linux/riscv64"):
        find_image(aws.account, URI)


def test_a_damaged_configuration_is_refused(aws: Stubbed) -> None:
    image(aws, URI)
    for digest in BLOBS:
        BLOBS[digest] += b" "
    with pytest.raises(CheckError, match="does not match its hash"):
        find_image(aws.account, URI)
    BLOBS.clear()


def test_a_registry_that_cannot_be_reached_is_one_line(aws: Stubbed, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> bytes:
        raise OSError("no route\nto host")

    image(aws, URI)
    monkeypatch.setattr(registry, "download", fail)
    with pytest.raises(CheckError, match=r"architecture could not be read from ECR: no route$"):
        find_image(aws.account, URI)


@pytest.mark.parametrize(
    ("operation", "code", "text"),
    [
        ("batch_get_image", "RepositoryNotFoundException", "there is no repository dropvec"),
        ("batch_get_image", "AccessDeniedException", "you lack the permission ecr:BatchGetImage"),
        ("get_download_url_for_layer", "AccessDeniedException", "you lack the permission ecr:GetDownloadUrlForLayer"),
    ],
)
def test_an_image_that_cannot_be_read_is_one_line(aws: Stubbed, operation: str, code: str, text: str) -> None:
    if operation == "get_download_url_for_layer":
        answer_image(aws, URI, {"config": {"digest": DIGEST}})
    aws.refuse("ecr", operation, code)
    with pytest.raises(CheckError, match=text):
        find_image(aws.account, URI)


def test_an_image_that_does_not_exist_is_refused(aws: Stubbed) -> None:
    failure = {"imageId": {"imageTag": "1"}, "failureCode": "ImageNotFound"}
    aws.stubbers["ecr"].add_response("batch_get_image", {"images": [], "failures": [failure]})
    with pytest.raises(CheckError, match=r"there is no image .*dropvec:1: push it first"):
        find_image(aws.account, URI)


# URIs in every partition


def regions() -> list[tuple[str, str]]:
    """Every region that botocore knows, with the DNS suffix of its partition."""
    partitions = create_loader().load_data("partitions")["partitions"]
    return [
        (region, one["outputs"]["dnsSuffix"])
        for one in partitions
        for region in one["regions"]
        if not region.endswith("-global")
    ]


def test_the_registry_of_every_region_of_every_partition_is_known() -> None:
    assert {region.partition("-")[0] for region, _ in regions()} >= {"us", "eu", "cn", "eusc"}
    assert len(regions()) > 40
    for region, suffix in regions():
        assert dns_suffix(region) == suffix
        host = registry_host(ID, region)
        assert host == f"{ID}.dkr.ecr.{region}.{suffix}"
        assert parse_uri(f"{host}/team/drop-vec:v1.0_a", region).repository == "team/drop-vec"
        assert parse_uri(f"{host.replace('.ecr.', '.ecr-fips.')}/dropvec@{DIGEST}", region).digest == DIGEST
        with pytest.raises(CheckError, match="is not an image in ECR"):
            parse_uri(f"{ID}.dkr.ecr.{region}.example.com/dropvec:1", region)


# Parameters

PARAMETERS = load(TEMPLATE)["Parameters"]


def test_the_defaults_of_the_template_are_accepted() -> None:
    given = {name: str(one["Default"]) for name, one in PARAMETERS.items() if "Default" in one}
    check_parameters(PARAMETERS, {**given, "ImageUri": URI})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ImageUri", ""),
        ("Timeout", "61"),
        ("Timeout", "060"),
        ("BatchSize", "0"),
        ("BatchSize", "11"),
        ("BatchSize", "-1"),
        ("BatchSize", "1.5"),
        ("BatchSize", ""),
        ("ExistingBucket", "Photos"),
        ("MaxImageBytes", "0"),
        ("ResultsPrefix", "aws/lambda/"),
        ("Model", "x" * 101),
        ("KmsKeyArn", "alias/mine"),
        ("Nothing", "1"),
    ],
)
def test_a_wrong_parameter_is_refused(name: str, value: str) -> None:
    with pytest.raises(CheckError, match=name):
        check_parameters(PARAMETERS, {name: value})
