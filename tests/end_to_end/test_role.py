"""The function's role, with every call checked against it: enough for the job, and nothing in it for nothing."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra.local.clients import CONFIG, session
from infra.local.paths import TEMPLATE
from infra.local.server import local_aws
from infra.local.stack import Stack, deploy
from infra.local.template import load
from tests.bundles import write_tiny_bundle
from tests.pictures import encoded, picture
from tests.processes import eventually

PHOTO = encoded(picture(64, 48))


@pytest.fixture(scope="module")
def strict_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The template on a local AWS that enforces IAM, but for the policies that deny what comes without TLS."""
    folder = tmp_path_factory.mktemp("strict")
    template = load(TEMPLATE)
    template["Resources"] = {
        name: one for name, one in template["Resources"].items() if one["Type"] != "AWS::S3::BucketPolicy"
    }
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::SQS::QueuePolicy":
            document = resource["Properties"]["PolicyDocument"]
            document["Statement"] = [one for one in document["Statement"] if one["Effect"] == "Allow"]
    (folder / "template.json").write_text(json.dumps(template))
    with local_aws(folder / "aws.log", enforce_iam=True) as aws:
        yield deploy(aws, write_tiny_bundle(folder / "tiny"), path=folder / "template.json")


class Role:
    """The function's role as deployed, for a while without one of its actions."""

    def __init__(self, stack: Stack) -> None:
        self.iam = session().client("iam", endpoint_url=stack.endpoint, config=CONFIG)
        self.name = stack.lambda_.get_function(FunctionName=stack.function)["Configuration"]["Role"].split("/")[-1]
        (self.policy,) = self.iam.list_role_policies(RoleName=self.name)["PolicyNames"]
        self.document: dict[str, Any] = self.iam.get_role_policy(RoleName=self.name, PolicyName=self.policy)[
            "PolicyDocument"
        ]

    def put(self, document: dict[str, Any]) -> None:
        self.iam.put_role_policy(RoleName=self.name, PolicyName=self.policy, PolicyDocument=json.dumps(document))

    def lose(self, sid: str, action: str) -> None:
        document = json.loads(json.dumps(self.document))
        (statement,) = [one for one in document["Statement"] if one["Sid"] == sid]
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert action in actions
        document["Statement"].remove(statement)
        if kept := [one for one in actions if one != action]:
            document["Statement"].append(statement | {"Action": kept})
        self.put(document)


@pytest.fixture
def role(strict_stack: Stack) -> Iterator[Role]:
    role = Role(strict_stack)
    yield role
    role.put(role.document)


def item(stack: Stack, key: str) -> dict[str, Any]:
    return dict(
        stack.dynamodb.get_item(TableName=stack.table, Key={"source": {"S": stack.source(key)}}).get("Item", {})
    )


def becomes(stack: Stack, key: str, status: str, results: int, seconds: float) -> bool:
    def has_become() -> bool:
        listed = stack.s3.list_objects_v2(Bucket=stack.results_bucket, Prefix=f"{stack.uploads_bucket}/{key}/")
        return (item(stack, key).get("status"), listed["KeyCount"]) == ({"S": status}, results)

    return eventually(has_become, seconds)


def event(stack: Stack, key: str, sequencer: str) -> str:
    s3 = {"bucket": {"name": stack.uploads_bucket}, "object": {"key": key, "sequencer": sequencer}}
    record = {"eventSource": "aws:s3", "eventVersion": "2.1", "eventName": "ObjectCreated:Put", "s3": s3}
    return json.dumps({"Records": [record]})


def do_the_job(stack: Stack, key: str, seconds: float) -> bool:
    """Upload, store on request, hear of it late, delete; whether each ended as it should."""
    stack.s3.put_object(Bucket=stack.uploads_bucket, Key=key, Body=PHOTO)
    if not becomes(stack, key, "success", 1, seconds):
        return False
    stack.dynamodb.delete_item(TableName=stack.table, Key={"source": {"S": stack.source(key)}})
    request = {"input_paths": [stack.source(key), stack.source(f"{key}.none")], "store": True}
    answer = stack.lambda_.invoke(FunctionName=stack.function, Payload=json.dumps(request))
    files = json.loads(answer["Payload"].read())["task_output"]["files"]
    if [file["error_code"] for file in files] != [None, "not_found"] or "sequencer" in item(stack, key):
        return False
    stack.sqs.send_message(QueueUrl=stack.queue_url, MessageBody=event(stack, key, "00"))
    if not eventually(lambda: "sequencer" in item(stack, key), seconds):
        return False
    stack.s3.delete_object(Bucket=stack.uploads_bucket, Key=key)
    return becomes(stack, key, "deleted", 0, seconds)


def test_the_role_is_enough(strict_stack: Stack) -> None:
    assert do_the_job(strict_stack, "enough.png", seconds=20)


@pytest.mark.parametrize(
    ("sid", "action"),
    [
        ("ReadUploads", "s3:GetObject"),
        ("KeepResults", "s3:GetObject"),
        ("KeepResults", "s3:PutObject"),
        ("KeepResults", "s3:DeleteObject"),
        ("TellMissingFromForbidden", "s3:ListBucket"),
        ("KeepItems", "dynamodb:GetItem"),
        ("KeepItems", "dynamodb:PutItem"),
        ("KeepItems", "dynamodb:UpdateItem"),
    ],
)
def test_nothing_in_the_role_is_for_nothing(strict_stack: Stack, role: Role, sid: str, action: str) -> None:
    role.lose(sid, action)
    assert not do_the_job(strict_stack, f"{action}.png", seconds=2)
