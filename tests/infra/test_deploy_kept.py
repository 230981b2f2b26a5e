"""Which resources of an earlier stack a new one takes over, with AWS's answers, and with which keys it reads them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.common.errors import CheckError
from infra.common.paths import TEMPLATE
from infra.common.template import load, to_json
from infra.deploy.imports import import_template
from infra.deploy.kept import Kept, with_kept
from infra.deploy.keys import with_earlier_keys
from infra.deploy.plan import Plan
from infra.deploy.template_body import INLINE_LIMIT
from tests.infra.resolved import resolve
from tests.support.stubbed_account import ID, Stubbed, stubbed_account

UPLOADS, RESULTS = (f"dropvec-{kind}-{ID}-eu-west-1" for kind in ("uploads", "results"))
TABLE = "dropvec-Table-0A1B"
INDEX = f"arn:aws:s3vectors:eu-west-1:{ID}:bucket/dropvec-vectorbucket-0a1b"
KEYS = [f"arn:aws:kms:eu-west-1:{ID}:key/{number}" for number in range(3)]
NEW = Plan("dropvec", None, {"ImageUri": "image"})
BUCKETS = {
    "UploadsBucket": UPLOADS,
    "UploadsBucketPolicy": UPLOADS,
    "ResultsBucket": RESULTS,
    "ResultsBucketPolicy": RESULTS,
}
ALL = {**BUCKETS, "Table": TABLE, "VectorBucket": INDEX}


@pytest.fixture
def aws() -> Iterator[Stubbed]:
    with stubbed_account() as stubbed:
        yield stubbed


def buckets(aws: Stubbed, *existing: str) -> None:
    """Answer the questions for the stack's buckets and their policies."""
    for name in (UPLOADS, RESULTS):
        if name in existing:
            aws.answer("s3", "head_bucket", {}, Bucket=name, ExpectedBucketOwner=ID)
            aws.answer("s3", "get_bucket_policy", {"Policy": "{}"}, Bucket=name)
        else:
            aws.refuse("s3", "head_bucket", "404", 404)


def stack_id(number: int) -> str:
    return f"arn:aws:cloudformation:eu-west-1:{ID}:stack/dropvec/{number}"


def summaries(*days: int, name: str = "dropvec") -> list[dict[str, Any]]:
    """Deleted stacks, by the day of their deletion, which is also their id."""
    return [
        {
            "StackName": name,
            "StackId": stack_id(day),
            "StackStatus": "DELETE_COMPLETE",
            "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
            "DeletionTime": datetime(2026, 2, day, tzinfo=UTC),
        }
        for day in days
    ]


def listed(aws: Stubbed, *pages: list[dict[str, Any]]) -> None:
    for number, page in enumerate(pages):
        token = {"NextToken": str(number)} if number else {}
        more = {} if number == len(pages) - 1 else {"NextToken": str(number + 1)}
        answer = {"StackSummaries": page, **more}
        aws.answer("cloudformation", "list_stacks", answer, StackStatusFilter=["DELETE_COMPLETE"], **token)


def events(aws: Stubbed, number: int, *statuses: tuple[str, str, str]) -> None:
    """Answer with a stack's events, the newest first: logical id, physical id and status."""
    described = [
        {
            "StackId": stack_id(number),
            "EventId": str(place),
            "StackName": "dropvec",
            "Timestamp": datetime(2026, 2, 1, tzinfo=UTC),
            "LogicalResourceId": logical,
            "PhysicalResourceId": physical or stack_id(number),
            "ResourceStatus": status,
        }
        for place, (logical, physical, status) in enumerate(statuses)
    ]
    aws.answer("cloudformation", "describe_stack_events", {"StackEvents": described}, StackName=stack_id(number))


def parameters(aws: Stubbed, number: int, **values: str) -> None:
    stack = {
        "StackName": "dropvec",
        "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
        "StackStatus": "DELETE_COMPLETE",
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
    }
    aws.answer("cloudformation", "describe_stacks", {"Stacks": [stack]}, StackName=stack_id(number))


def exists(aws: Stubbed) -> None:
    """The table and the vector bucket exist."""
    aws.answer("dynamodb", "describe_table", {"Table": {}}, TableName=TABLE)
    described = {
        "vectorBucketName": "dropvec-vectorbucket-0a1b",
        "vectorBucketArn": INDEX,
        "creationTime": datetime(2026, 1, 1, tzinfo=UTC),
    }
    aws.answer("s3vectors", "get_vector_bucket", {"vectorBucket": described}, vectorBucketName=INDEX.split("/")[1])


def test_without_kept_buckets_there_is_no_question(aws: Stubbed) -> None:
    buckets(aws)
    assert with_kept(aws.account, NEW, None) is NEW


def test_the_last_deletion_names_what_it_kept(aws: Stubbed) -> None:
    buckets(aws, UPLOADS, RESULTS)
    listed(aws, summaries(1, 3), summaries(2, name="dropvec-test"), summaries(2))
    events(aws, 3, ("dropvec", "", "DELETE_COMPLETE"))  # the stack of a change set that was not applied
    events(
        aws,
        2,
        ("dropvec", "", "DELETE_COMPLETE"),
        ("Table", TABLE, "DELETE_SKIPPED"),
        ("VectorBucket", INDEX, "DELETE_SKIPPED"),
        ("Function", "f", "DELETE_COMPLETE"),
        ("dropvec", "", "DELETE_IN_PROGRESS"),
        ("dropvec", "", "UPDATE_COMPLETE"),
        ("VectorBucket", "of another key", "DELETE_SKIPPED"),
    )
    parameters(aws, 2, ImageUri="old", KeyPrefix="in/", Gone="x")
    exists(aws)
    plan = with_kept(aws.account, Plan("dropvec", None, {}), None)
    assert plan.kept == Kept({"ImageUri": "old", "KeyPrefix": "in/", "Gone": "x"}, ALL)
    assert plan.imported == ALL
    assert plan.given == {"ImageUri": "old"}
    assert "Gone" not in plan.previous
    assert plan.wanted["KeyPrefix"] == "in/"
    assert (plan.is_new, plan.creates_uploads_bucket, plan.creates_index, plan.needs_rebuild) == (False,) * 4
    assert {"ParameterKey": "KeyPrefix", "UsePreviousValue": True} in plan.parameters()


def test_what_was_deleted_by_hand_is_not_imported(aws: Stubbed) -> None:
    buckets(aws, RESULTS)
    listed(aws, summaries(1))
    kept = [("Table", TABLE, "DELETE_SKIPPED"), ("VectorBucket", INDEX, "DELETE_SKIPPED")]
    events(aws, 1, *kept)
    parameters(aws, 1, ImageUri="old")
    aws.refuse("dynamodb", "describe_table", "ResourceNotFoundException")
    aws.refuse("s3vectors", "get_vector_bucket", "NotFoundException", 404)
    plan = with_kept(aws.account, NEW, None)
    assert plan.imported == {"ResultsBucket": RESULTS, "ResultsBucketPolicy": RESULTS}
    assert (plan.creates_uploads_bucket, plan.creates_index, plan.needs_rebuild) == (True, True, False)


def test_after_90_days_the_user_names_the_table(aws: Stubbed) -> None:
    buckets(aws, RESULTS)
    listed(aws, [])
    with pytest.raises(CheckError, match=rf"the bucket {RESULTS} already exists.*--import Table=NAME"):
        with_kept(aws.account, NEW, None)
    buckets(aws, UPLOADS, RESULTS)
    listed(aws, [])
    exists(aws)
    given = {"ImageUri": "image", "KmsKeyArn": KEYS[0]}
    names = {"Table": TABLE, "VectorBucket": INDEX.split("/")[1]}
    plan = with_kept(aws.account, Plan("dropvec", None, given), names)
    assert (plan.imported, plan.previous) == (ALL, given)


def test_a_named_resource_must_exist(aws: Stubbed) -> None:
    buckets(aws, RESULTS)
    listed(aws, [])
    aws.refuse("dynamodb", "describe_table", "ResourceNotFoundException")
    with pytest.raises(CheckError, match="Table=typo: there is none of this name in eu-west-1"):
        with_kept(aws.account, NEW, {"Table": "typo"})
    buckets(aws, RESULTS)
    listed(aws, [])
    assert with_kept(aws.account, NEW, {"Table": ""}).imported.keys() == {"ResultsBucket", "ResultsBucketPolicy"}


@pytest.mark.parametrize(
    ("client", "operation", "permission"),
    [("cloudformation", "list_stacks", "cloudformation:ListStacks"), ("s3", "get_bucket_policy", "s3:GetBucketPolicy")],
)
def test_a_missing_permission_is_named(aws: Stubbed, client: str, operation: str, permission: str) -> None:
    if client == "s3":
        aws.answer("s3", "head_bucket", {}, Bucket=UPLOADS, ExpectedBucketOwner=ID)
    else:
        buckets(aws, RESULTS)
    aws.refuse(client, operation, "AccessDenied", 403)
    with pytest.raises(CheckError, match=f"you lack the permission {permission}"):
        with_kept(aws.account, NEW, None)


@pytest.mark.parametrize(
    ("given", "not_imported", "rebuild"),
    [
        ({"ExistingBucket": "photos"}, {"UploadsBucket", "UploadsBucketPolicy"}, False),
        ({"Search": "false"}, {"VectorBucket"}, False),
        ({"KmsKeyArn": KEYS[0]}, {"VectorBucket"}, True),
    ],
)
def test_other_parameters_import_less(given: dict[str, str], not_imported: set[str], *, rebuild: bool) -> None:
    plan = Plan("dropvec", None, {"ImageUri": "image", **given}, Kept({"ImageUri": "image"}, ALL))
    assert ALL.keys() - plan.imported.keys() == not_imported
    assert plan.needs_rebuild == rebuild
    assert plan.abandoned_vector_bucket == ("" if "ExistingBucket" in given else "dropvec-vectorbucket-0a1b")


def shell(status: str, **more: Any) -> dict[str, Any]:
    """A stack that has imported resources only."""
    return {"StackStatus": status, "Parameters": [{"ParameterKey": "ImageUri", "ParameterValue": "old"}], **more}


@pytest.mark.parametrize("status", ["IMPORT_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"])
def test_an_interrupted_deployment_continues_after_the_import(aws: Stubbed, status: str) -> None:
    resources = [
        {
            "LogicalResourceId": name,
            "PhysicalResourceId": value,
            "ResourceType": "x",
            "Timestamp": datetime(2026, 1, 1, tzinfo=UTC),
            "ResourceStatus": "IMPORT_COMPLETE",
        }
        for name, value in ALL.items()
    ]
    answer = {"StackResources": resources}
    aws.answer("cloudformation", "describe_stack_resources", answer, StackName="dropvec")
    plan = with_kept(aws.account, Plan("dropvec", shell(status), {}), None)
    assert plan.kept == Kept({"ImageUri": "old"}, ALL, is_imported=True)
    assert (plan.current, plan.is_new, plan.created_log_groups[0]) == (None, False, "/aws/lambda/dropvec")


def test_a_complete_stack_has_nothing_to_import(aws: Stubbed) -> None:
    outputs = [{"OutputKey": "TableName", "OutputValue": TABLE}]
    plan = Plan("dropvec", shell("UPDATE_ROLLBACK_COMPLETE", Outputs=outputs), {})
    assert with_kept(aws.account, plan, None) is plan


@pytest.mark.parametrize("given", [{}, {"Trigger": "eventbridge"}, {"KmsKeyArn": KEYS[0], "Api": "token"}])
def test_the_template_of_the_import_needs_no_other_resource(given: dict[str, str]) -> None:
    template = import_template(load(TEMPLATE), ALL)
    assert template.keys() == {"AWSTemplateFormatVersion", "Description", "Parameters", "Conditions", "Resources"}
    stack = resolve({**template, "Outputs": {}, "Mappings": {}}, given)
    assert stack.resources.keys() == ALL.keys()
    assert stack.dangling() == []
    for one in stack.resources.values():
        assert (one["DeletionPolicy"], one["UpdateReplacePolicy"]) == ("Retain", "Retain")
        assert not one.keys() & {"Condition", "DependsOn", "Metadata"}
    bucket = stack.resources["UploadsBucket"]["Properties"]
    wanted = resolve(load(TEMPLATE), given).resources["UploadsBucket"]["Properties"]
    assert {**bucket, "NotificationConfiguration": wanted["NotificationConfiguration"]} == wanted
    assert len(to_json(template)) < INLINE_LIMIT
    assert "Fn::Transform" not in json.dumps(template)


@pytest.mark.parametrize(
    ("deployed", "given", "earlier"),
    [
        ({}, {}, None),
        ({}, {"KmsKeyArn": KEYS[0]}, ""),
        ({"KmsKeyArn": KEYS[0]}, {"KmsKeyArn": KEYS[0]}, None),
        ({"KmsKeyArn": KEYS[0]}, {"KmsKeyArn": KEYS[1]}, KEYS[0]),
        ({"KmsKeyArn": KEYS[0]}, {"KmsKeyArn": ""}, KEYS[0]),
        ({"KmsKeyArn": KEYS[1], "EarlierKmsKeyArns": KEYS[0]}, {"KmsKeyArn": KEYS[2]}, f"{KEYS[0]},{KEYS[1]}"),
        ({"KmsKeyArn": KEYS[1], "EarlierKmsKeyArns": KEYS[0]}, {"KmsKeyArn": KEYS[0]}, KEYS[1]),
        ({"KmsKeyArn": "", "EarlierKmsKeyArns": KEYS[0]}, {"KmsKeyArn": KEYS[1]}, KEYS[0]),
        ({"KmsKeyArn": KEYS[0]}, {"KmsKeyArn": KEYS[1], "EarlierKmsKeyArns": ""}, ""),
        ({"KmsKeyArn": KEYS[0], "EarlierKmsKeyArns": KEYS[1]}, {"MemorySize": "3008"}, None),
    ],
)
@pytest.mark.parametrize("is_kept", [False, True])
def test_keys_that_were_used_before_stay_readable(
    deployed: dict[str, str], given: dict[str, str], earlier: str | None, *, is_kept: bool
) -> None:
    described = [{"ParameterKey": name, "ParameterValue": value} for name, value in deployed.items()]
    plan = Plan("dropvec", {"Parameters": described}, given)
    if is_kept:
        plan = Plan("dropvec", None, given, Kept({"ImageUri": "image", **deployed}, {}))
    assert with_earlier_keys(plan).given.get("EarlierKmsKeyArns") == earlier
