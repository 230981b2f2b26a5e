"""The policy of who deploys allows what `push`, `deploy` and `destroy` call, and what CloudFormation calls for them."""

import ast
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from infra.common.paths import ROOT, TEMPLATE
from infra.common.template import load

POLICY = json.loads((ROOT / "docs" / "deployer-policy.json").read_text())
REGION_AND_ACCOUNT = "eu-west-1:123456789012"

# A resource of each service as a stack with the default name has it.
RESOURCES = {
    "cloudformation": f"arn:aws:cloudformation:{REGION_AND_ACCOUNT}:stack/dropvec/0a1b",
    "cloudwatch": f"arn:aws:cloudwatch:{REGION_AND_ACCOUNT}:alarm:dropvec-ErrorsAlarm-0A1B",
    "dynamodb": f"arn:aws:dynamodb:{REGION_AND_ACCOUNT}:table/dropvec-Table-0A1B",
    "ecr": f"arn:aws:ecr:{REGION_AND_ACCOUNT}:repository/dropvec",
    "events": f"arn:aws:events:{REGION_AND_ACCOUNT}:rule/dropvec-uploads",
    "iam": "arn:aws:iam::123456789012:role/dropvec-FunctionRole-0A1B",
    "kms": f"arn:aws:kms:{REGION_AND_ACCOUNT}:key/YOUR-KEY",
    "lambda": f"arn:aws:lambda:{REGION_AND_ACCOUNT}:function:dropvec-Function-0A1B",
    "logs": f"arn:aws:logs:{REGION_AND_ACCOUNT}:log-group:/aws/lambda/dropvec",
    "s3": "arn:aws:s3:::dropvec-results-123456789012-eu-west-1",
    "s3vectors": f"arn:aws:s3vectors:{REGION_AND_ACCOUNT}:bucket/dropvec-vectorbucket-0a1b",
    "secretsmanager": f"arn:aws:secretsmanager:{REGION_AND_ACCOUNT}:secret:dropvec-Token-0A1B",
    "sns": f"arn:aws:sns:{REGION_AND_ACCOUNT}:alarms",
    "sqs": f"arn:aws:sqs:{REGION_AND_ACCOUNT}:dropvec-UploadsQueue-0A1B",
}
EVENT_SOURCE = f"arn:aws:lambda:{REGION_AND_ACCOUNT}:event-source-mapping:0a1b"

# boto3's methods whose permission has another name.
ACTIONS = {
    "s3.head_bucket": "s3:ListBucket",
    "s3.put_object": "s3:PutObject",
    "s3.delete_object": "s3:DeleteObject",
    "s3.get_bucket_notification_configuration": "s3:GetBucketNotification",
    "s3.put_bucket_notification_configuration": "s3:PutBucketNotification",
    "lambda_.invoke": "lambda:InvokeFunction",
}
# Calls on objects of the bucket that --template-bucket names.
TEMPLATE_OBJECT = "arn:aws:s3:::YOUR-BUCKET/dropvec-template-0a1b.json"

# What CloudFormation's resource types may need for properties that the template does not set.
UNUSED = re.compile(
    r"(codedeploy|ec2|elasticfilesystem|firehose|kinesis|s3files|s3tables):.*"
    r"|dynamodb:(.*TableReplica|BatchWriteItem|.*Item|Query|Scan|ImportTable|.*KinesisStreamingDestination"
    r"|PutResourcePolicy|DeleteResourcePolicy)|iam:(CreateServiceLinkedRole|.*PermissionsBoundary)"
    r"|kms:(RevokeGrant|ListAliases)|lambda:(AssociateRuntimeAlias|GetLayerVersion|GetCodeSigningConfig"
    r"|PassCapacityProvider)|s3:(GetObject.*|.*Object|.*ObjectAcl|REST.PUT.OBJECT)"
    r"|logs:(CreateLogDelivery|CreateLogStream|PutLogEvents|.*ResourcePolic.*)|secretsmanager:(ReplicateSecretToRegions|RemoveRegionsFrom.*)"
)


def allows(action: str, resource: str) -> bool:
    return any(
        any(fnmatchcase(action, one) for one in listed(statement["Action"]))
        and any(fnmatchcase(resource, one) for one in listed(statement["Resource"]))
        for statement in POLICY["Statement"]
    )


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def calls() -> Iterator[str]:
    """Every call of a client in the code of these commands, as `client.method`."""
    files = [*(ROOT / "infra" / "deploy").glob("*.py"), ROOT / "infra" / "cli" / "push.py"]
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr not in {"meta", "exceptions"}:
                owner = node.value
                client = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
                if client in {"cloudformation", "s3", "s3vectors", "lambda_", "ecr", "logs", "sns", "dynamodb"}:
                    yield f"{client}.{node.attr}"


CALLS = sorted(set(calls()))


def test_the_calls_are_found() -> None:
    assert {
        "cloudformation.create_change_set",
        "cloudformation.list_stacks",
        "ecr.create_repository",
        "s3.head_bucket",
        "sns.get_topic_attributes",
    } <= (set(CALLS))


@pytest.mark.parametrize("call", CALLS)
def test_every_call_of_the_commands_is_allowed(call: str) -> None:
    client, method = call.split(".")
    service = client.rstrip("_")
    name = "".join(word.capitalize() for word in method.split("_"))
    action = ACTIONS.get(call, f"{service}:{name}")
    resource = TEMPLATE_OBJECT if call in {"s3.put_object", "s3.delete_object"} else RESOURCES[service]
    assert allows(action, resource), f"{action} on {resource}"


def types() -> list[str]:
    found = {resource["Type"] for resource in load(TEMPLATE)["Resources"].values()}
    return sorted({one.replace("AWS::Serverless::Function", "AWS::Lambda::Function") for one in found})


def permissions(resource_type: str) -> set[str]:
    """What CloudFormation calls for a resource type, according to the type's schema."""
    spec = find_spec("cfnlint")
    assert spec
    assert spec.origin
    schemas = Path(spec.origin).parent / "data" / "schemas"
    name = json.loads((schemas / "providers" / "us-east-1.json").read_text())[resource_type]
    handlers = json.loads((schemas / "resources" / f"{name}.json").read_text())["handlers"]
    return {
        one for kind in ("create", "read", "update", "delete") for one in handlers.get(kind, {}).get("permissions", [])
    }


@pytest.mark.parametrize("resource_type", types())
def test_every_call_of_cloudformation_is_allowed(resource_type: str) -> None:
    needed = {one for one in permissions(resource_type) if not UNUSED.fullmatch(one)}
    assert needed
    for action in sorted(needed):
        service = action.partition(":")[0]
        is_mapping = resource_type == "AWS::Lambda::EventSourceMapping" and service == "lambda"
        resource = EVENT_SOURCE if is_mapping else RESOURCES[service]
        assert allows(action, resource), f"{action} on {resource}"


PUSH = ("BatchCheckLayerAvailability", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage")


def test_a_container_engine_may_push() -> None:
    """https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html."""
    assert allows("ecr:GetAuthorizationToken", "*")
    assert all(allows(f"ecr:{action}", RESOURCES["ecr"]) for action in PUSH)


def test_the_transform_of_the_template_is_allowed() -> None:
    resource = "arn:aws:cloudformation:eu-west-1:aws:transform/Serverless-2016-10-31"
    assert allows("cloudformation:CreateChangeSet", resource)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:CreateRole", "arn:aws:iam::123456789012:role/admin"),
        ("iam:AttachUserPolicy", "arn:aws:iam::123456789012:user/dropvec"),
        ("iam:CreateUser", "arn:aws:iam::123456789012:user/dropvec"),
        ("s3:DeleteBucket", "arn:aws:s3:::photos"),
        ("s3:GetObject", "arn:aws:s3:::dropvec-uploads-123456789012-eu-west-1/photo.jpg"),
        ("dynamodb:Scan", RESOURCES["dynamodb"]),
        ("dynamodb:DeleteTable", f"arn:aws:dynamodb:{REGION_AND_ACCOUNT}:table/orders"),
        ("lambda:UpdateFunctionCode", f"arn:aws:lambda:{REGION_AND_ACCOUNT}:function:other"),
        ("sqs:ReceiveMessage", RESOURCES["sqs"]),
        ("cloudformation:DeleteStack", f"arn:aws:cloudformation:{REGION_AND_ACCOUNT}:stack/other/0a1b"),
    ],
)
def test_other_resources_and_the_images_themselves_are_out_of_reach(action: str, resource: str) -> None:
    assert not allows(action, resource)


def test_the_policy_fits_into_a_managed_policy() -> None:
    """IAM accepts 6,144 characters, without white space."""
    assert len(re.sub(r"\s", "", json.dumps(POLICY))) <= 6144
