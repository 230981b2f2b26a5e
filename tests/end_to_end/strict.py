"""The unchanged template on a local AWS with TLS that checks every call against the caller's policies."""

import io
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra.common.local_session import CONFIG, REGION, session
from infra.common.local_stack import Stack
from infra.deploy import notifications
from infra.local.server import Certificate, LocalAws, local_aws
from infra.local.stack import STACK_NAME, deploy
from tests.support.bundles import write_tiny_bundle
from tests.support.certificates import make_authority
from tests.support.functions import unqualified

EXISTING = "existing-photos"
OTHER_BUCKET = "not-ours"

# Each trigger, combined with other parameters of the template.
MODES: dict[str, dict[str, str]] = {
    "queue": {},
    "direct": {"KmsKeyArn": "created by the test"},
    "eventbridge": {"ExistingBucket": EXISTING, "KeyPrefix": "in/", "KeySuffix": ".png"},
}

_PROBE = """
import os
def handler(event, context):
    return [os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
"""


@contextmanager
def strict_stack(folder: Path, mode: str) -> Iterator["Strict"]:
    """Deploy the template with one of the `MODES`."""
    authority, _ = make_authority(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_CA_BUNDLE", str(authority))
        certificate = Certificate(authority, authority.with_name("server.pem"))
        with local_aws(folder / "aws.log", enforce_iam=True, certificate=certificate) as aws:
            yield _deployed(aws, folder, mode)


def _deployed(aws: LocalAws, folder: Path, mode: str) -> "Strict":
    parameters = {"Trigger": mode, **MODES[mode]}
    if "KmsKeyArn" in parameters:
        parameters["KmsKeyArn"] = client(aws.endpoint, "kms").create_key()["KeyMetadata"]["Arn"]
    s3 = client(aws.endpoint, "s3")
    for bucket in (EXISTING, OTHER_BUCKET):
        s3.create_bucket(Bucket=bucket)
    stack = deploy(aws, write_tiny_bundle(folder / "tiny"), parameters=parameters)
    if "ExistingBucket" in parameters:
        targets = notifications.StackTargets(STACK_NAME, queue="", function="")  # EventBridge needs no ARNs
        notifications.write(s3, EXISTING, notifications.with_stack({}, targets, parameters))
    return Strict(stack, mode, parameters, stack.function)


def client(endpoint: str, service: str) -> Any:
    """A client with the credentials of the account's root user, which no policy restricts."""
    return session().client(service, endpoint_url=endpoint, config=CONFIG)


@dataclass(frozen=True)
class Strict:
    """A stack with IAM enforcement, and the role of one of its functions."""

    stack: Stack
    mode: str
    parameters: dict[str, str]
    function: str

    def with_role_of(self, function: str | None) -> "Strict":
        """The same stack, with the role of another of its functions."""
        assert function
        return replace(self, function=function)

    def key(self, name: str) -> str:
        """A key that matches the stack's filters."""
        return f"{self.parameters.get('KeyPrefix', '')}{name}.png"

    @cached_property
    def role_arn(self) -> str:
        return self.stack.lambda_.get_function(FunctionName=self.function)["Configuration"]["Role"]

    @cached_property
    def iam(self) -> Any:
        return client(self.stack.endpoint, "iam")

    @cached_property
    def document(self) -> dict[str, Any]:
        """The deployed policy of the role."""
        found: dict[str, Any] = self.iam.get_role_policy(RoleName=self._role, PolicyName="dropvec")["PolicyDocument"]
        return found

    @property
    def _role(self) -> str:
        return self.role_arn.rpartition("/")[2]

    def actions(self) -> set[tuple[str, str]]:
        """All allowed actions of the role, as (Sid, action)."""
        return {(one["Sid"], action) for one in self.document["Statement"] for action in _listed(one["Action"])}

    @contextmanager
    def without(self, sid: str, action: str) -> Iterator[None]:
        """Remove an action from the role for the duration of the block."""
        assert (sid, action) in self.actions()
        remaining = [
            {**one, "Action": kept}
            for one in self.document["Statement"]
            if (kept := [each for each in _listed(one["Action"]) if (one["Sid"], each) != (sid, action)])
        ]
        self._put({**self.document, "Statement": remaining})
        try:
            yield
        finally:
            self._put(self.document)

    def _put(self, document: dict[str, Any]) -> None:
        self.iam.put_role_policy(RoleName=self._role, PolicyName="dropvec", PolicyDocument=json.dumps(document))

    @cached_property
    def as_role(self) -> boto3.Session:
        """A session with the credentials of the role, which another function with the same role returns."""
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("probe.py", _PROBE)
        self.stack.lambda_.create_function(
            FunctionName=f"probe-{unqualified(self.function)}",
            Runtime="python3.12",
            Handler="probe.handler",
            Role=self.role_arn,
            Code={"ZipFile": code.getvalue()},
        )
        answer = self.stack.lambda_.invoke(FunctionName=f"probe-{unqualified(self.function)}")
        key, secret, token = json.loads(answer["Payload"].read())
        return boto3.Session(key, secret, token, region_name=REGION)

    def client(self, service: str) -> Any:
        """A client with the credentials of the function's role."""
        return self.as_role.client(
            service, endpoint_url=self.stack.endpoint, config=CONFIG, verify=os.environ["AWS_CA_BUNDLE"]
        )

    @contextmanager
    def without_notifications(self) -> Iterator[None]:
        """Remove all event notifications of the uploads bucket for the duration of the block."""
        s3, bucket = client(self.stack.endpoint, "s3"), self.stack.uploads_bucket
        configured = notifications.read(s3, bucket)
        notifications.write(s3, bucket, {})
        try:
            yield
        finally:
            notifications.write(s3, bucket, configured)

    def is_allowed(self, action: str, resource: str) -> bool:
        """Whether the local AWS's policy simulator allows an action to the role."""
        answer = self.iam.simulate_principal_policy(
            PolicySourceArn=self.role_arn, ActionNames=[action], ResourceArns=[resource]
        )
        (result,) = answer["EvaluationResults"]
        return bool(result["EvalDecision"] == "allowed")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
