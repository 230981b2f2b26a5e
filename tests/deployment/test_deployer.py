"""The deployer's policy, on a local AWS that checks every call: what it allows is enough, and the commands need it."""

import hashlib
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from infra.common.local_session import REGION
from infra.common.paths import HANDLER, ROOT
from infra.common.template import to_json
from infra.deploy import changes
from infra.local.package import function_zip
from infra.local.server import Certificate, LocalAws, local_aws
from tests.end_to_end.strict import client
from tests.support.bundles import add_canonical_vector, write_tiny_bundle
from tests.support.certificates import make_authority
from tests.support.deploy_command import environment, run
from tests.support.fake_engine import install
from tests.support.local_registry import REGISTRY, REPOSITORY, configuration, template_of_images

EXISTING = "photos"
TOPIC = f"arn:aws:sns:{REGION}:000000000000:alarms"
USER = "deployer"
POLICY = json.loads((ROOT / "docs" / "deployer-policy.json").read_text().replace("YOUR-BUCKET", EXISTING))
# What the local AWS calls every request for one alias, so that the change of one needs no other action.
_LOCAL_NAMES = {"lambda:GetAlias": "lambda:ListAliases"}
# The local AWS does not find the repository in the request.
_WITHOUT_RESOURCE = {"ecr:DescribeRepositories"}
_DENIED = re.compile(r"you lack the permission ([a-z0-9]+:\w+)|is not authorized to perform: ([a-z0-9]+:\w+) ")


class Deployer:
    """A user who has a part of the deployer's policy, and whose calls the local AWS checks.

    Attributes:
        granted: the actions that the user may perform, each on the resources of the policy.
        vectors: an S3 Vectors client that may do everything.
    """

    def __init__(self, aws: LocalAws, folder: Path, template: Path) -> None:
        self.granted: list[str] = []
        self.vectors = client(aws.endpoint, "s3vectors")
        self._iam, self._template = client(aws.endpoint, "iam"), template
        self._iam.create_user(UserName=USER)
        key = self._iam.create_access_key(UserName=USER)["AccessKey"]
        credentials = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        self._environment = environment(aws.endpoint) | credentials | {"PATH": str(folder)}

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command with the granted actions; its exit code and what it prints."""
        document = json.dumps({"Version": "2012-10-17", "Statement": [*self._statements()]})
        self._iam.put_user_policy(UserName=USER, PolicyName="dropvec", PolicyDocument=document)
        done = run(arguments, self._environment, self._template)
        return done.returncode, done.stdout + done.stderr

    def grant_until_done(self, *arguments: str) -> set[str]:
        """Run a command again and again, and grant the action for whose lack it failed; these are returned."""
        needed: set[str] = set()
        while True:
            code, printed = self.run(*arguments)
            if code == 0:
                return needed
            denied = _DENIED.findall(printed)
            assert denied, printed
            action = "".join(denied[-1])
            assert action not in needed, f"the policy does not allow {action}: {printed[-500:]}"
            needed.add(action)
            self.granted.append(action)

    def _statements(self) -> Iterator[dict[str, Any]]:
        yield {"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}  # AWS allows it to everyone
        for action in self.granted:
            for one in POLICY["Statement"]:
                if any(fnmatchcase(action, pattern) for pattern in _listed(one["Action"])):
                    resource = "*" if action in _WITHOUT_RESOURCE else one["Resource"]
                    yield {"Effect": one["Effect"], "Action": _LOCAL_NAMES.get(action, action), "Resource": resource}


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


@pytest.fixture(scope="module")
def deployer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployer]:
    folder = tmp_path_factory.mktemp("deployer")
    authority, _ = make_authority(folder)
    bundle = add_canonical_vector(write_tiny_bundle(folder / "tiny"))
    template = folder / "template.json"
    template.write_text(to_json(template_of_images()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_CA_BUNDLE", str(authority))
        patch.setenv("SSL_CERT_FILE", str(authority))
        patch.setattr(changes, "_CHANGE_SET_POLL_SECONDS", 0.02)
        patch.setattr(changes, "_EVENT_POLL_SECONDS", 0.05)
        certificate = Certificate(authority, authority.with_name("server.pem"))
        with local_aws(folder / "aws.log", enforce_iam=True, certificate=certificate) as aws:
            client(aws.endpoint, "s3").create_bucket(Bucket=EXISTING)
            client(aws.endpoint, "sns").create_topic(Name="alarms")
            install(folder, "docker")
            (folder / "bundle").write_text(str(bundle))
            (folder / "image").write_text(hashlib.sha256(configuration(function_zip(HANDLER, bundle))).hexdigest())
            yield Deployer(aws, folder, template)


STACK = ("--stack", "dropvec", "--yes")
IMAGE = f"{REGISTRY}/{REPOSITORY}:v1"
# What one run after the other needs, in addition to what the runs before it needed. The local AWS does not check
# GetAccountSettings.
STEPS: list[tuple[tuple[str, ...], set[str]]] = [
    (
        ("push", "--tag", "dropvec:v1"),
        {
            "ecr:DescribeRepositories",
            "ecr:CreateRepository",
            "ecr:BatchGetImage",
            "ecr:GetAuthorizationToken",
            "ecr:GetDownloadUrlForLayer",
        },
    ),
    (
        ("deploy", *STACK, "--image", IMAGE, "--set", f"ExistingBucket={EXISTING}", "Api=token"),
        {
            "cloudformation:CreateChangeSet",
            "cloudformation:DeleteChangeSet",
            "cloudformation:DeleteStack",
            "cloudformation:DescribeChangeSet",
            "cloudformation:DescribeStackEvents",
            "cloudformation:DescribeStacks",
            "cloudformation:DescribeType",
            "cloudformation:ExecuteChangeSet",
            "cloudformation:ListChangeSets",
            "lambda:GetAlias",
            "lambda:GetFunctionConfiguration",
            "lambda:InvokeFunction",
            "lambda:PublishVersion",
            "logs:DescribeLogGroups",
            "s3:GetBucketCORS",
            "s3:GetBucketNotification",
            "s3:ListBucket",
            "s3:PutBucketCORS",
            "s3:PutBucketNotification",
        },
    ),
    (
        ("deploy", *STACK, "--set", "ExistingBucket=", "Trigger=direct", f"AlarmTopicArn={TOPIC}"),
        {"sns:GetTopicAttributes"},
    ),
    (("destroy", *STACK), {"cloudformation:DescribeStackResources"}),
    (
        ("deploy", *STACK),
        {"cloudformation:ListStacks", "dynamodb:DescribeTable", "s3:GetBucketPolicy", "s3vectors:GetVectorBucket"},
    ),
    (
        ("destroy", *STACK, "--drop-index"),
        {"s3vectors:DeleteIndex", "s3vectors:DeleteVectorBucket", "s3vectors:ListIndexes"},
    ),
]


def test_the_policy_allows_what_the_commands_need_and_they_need_each_action(deployer: Deployer) -> None:
    for arguments, needed in STEPS:
        if "--drop-index" in arguments:
            (bucket,) = deployer.vectors.list_vector_buckets()["vectorBuckets"]
            where = {"vectorBucketName": bucket["vectorBucketName"], "indexName": "dropvec-0"}
            deployer.vectors.create_index(**where, dataType="float32", dimension=2, distanceMetric="cosine")
        assert deployer.grant_until_done(*arguments) == needed, arguments
    for action in deployer.granted:
        assert sum(action in needed for _, needed in STEPS) == 1
