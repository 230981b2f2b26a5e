"""The template as it is, on a local AWS that speaks TLS and checks every call against its caller's policies."""

import io
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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

EXISTING = "photos-of-somebody"
OTHER_BUCKET = "not-ours"

# Each mode, and with it what else a stack may differ in.
MODES: dict[str, dict[str, str]] = {
    "queue": {},
    "direct": {"KmsKeyArn": "made here"},
    "eventbridge": {"ExistingBucket": EXISTING, "KeyPrefix": "in/", "KeySuffix": ".png"},
}

_PROBE = """
import os
def handler(event, context):
    return [os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
"""


@contextmanager
def strict_stack(folder: Path, mode: str) -> Iterator["Strict"]:
    """Deploy the template in one of the modes."""
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
        listener = notifications.Listener(STACK_NAME, queue="", function="")  # which EventBridge needs not know
        notifications.write(s3, EXISTING, notifications.with_stack({}, listener, parameters))
    return Strict(stack, mode, parameters)


def client(endpoint: str, service: str) -> Any:
    """A client of the account's root, whom no policy binds."""
    return session().client(service, endpoint_url=endpoint, config=CONFIG)


@dataclass(frozen=True)
class Strict:
    """A stack under enforcement, and its function's role."""

    stack: Stack
    mode: str
    parameters: dict[str, str]

    def key(self, name: str) -> str:
        """A key that the stack's filters let through."""
        return f"{self.parameters.get('KeyPrefix', '')}{name}.png"

    @cached_property
    def role_arn(self) -> str:
        return self.stack.lambda_.get_function(FunctionName=self.stack.function)["Configuration"]["Role"]

    @cached_property
    def iam(self) -> Any:
        return client(self.stack.endpoint, "iam")

    @cached_property
    def document(self) -> dict[str, Any]:
        """The role's policy, as deployed."""
        found: dict[str, Any] = self.iam.get_role_policy(RoleName=self._role, PolicyName="dropvec")["PolicyDocument"]
        return found

    @property
    def _role(self) -> str:
        return self.role_arn.rpartition("/")[2]

    def actions(self) -> set[tuple[str, str]]:
        """All that the role may do, as (Sid, action)."""
        return {(one["Sid"], action) for one in self.document["Statement"] for action in _listed(one["Action"])}

    @contextmanager
    def without(self, sid: str, action: str) -> Iterator[None]:
        """The role lacks one of its actions meanwhile."""
        assert (sid, action) in self.actions()
        left = [
            {**one, "Action": kept}
            for one in self.document["Statement"]
            if (kept := [each for each in _listed(one["Action"]) if (one["Sid"], each) != (sid, action)])
        ]
        self._put({**self.document, "Statement": left})
        try:
            yield
        finally:
            self._put(self.document)

    def _put(self, document: dict[str, Any]) -> None:
        self.iam.put_role_policy(RoleName=self._role, PolicyName="dropvec", PolicyDocument=json.dumps(document))

    @cached_property
    def as_role(self) -> boto3.Session:
        """A session with the credentials that a function of this role is given: another function hands them out."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("probe.py", _PROBE)
        self.stack.lambda_.create_function(
            FunctionName="probe",
            Runtime="python3.12",
            Handler="probe.handler",
            Role=self.role_arn,
            Code={"ZipFile": packed.getvalue()},
        )
        answer = self.stack.lambda_.invoke(FunctionName="probe")
        key, secret, token = json.loads(answer["Payload"].read())
        return boto3.Session(key, secret, token, region_name=REGION)

    def client(self, service: str) -> Any:
        """A client that calls as the function would."""
        return self.as_role.client(
            service, endpoint_url=self.stack.endpoint, config=CONFIG, verify=os.environ["AWS_CA_BUNDLE"]
        )

    @contextmanager
    def silent(self) -> Iterator[None]:
        """The uploads bucket tells nobody of anything meanwhile."""
        s3, bucket = client(self.stack.endpoint, "s3"), self.stack.uploads_bucket
        told = notifications.read(s3, bucket)
        notifications.write(s3, bucket, {})
        try:
            yield
        finally:
            notifications.write(s3, bucket, told)

    def is_allowed(self, action: str, resource: str) -> bool:
        """What the local AWS's own policy simulator says of the role."""
        answer = self.iam.simulate_principal_policy(
            PolicySourceArn=self.role_arn, ActionNames=[action], ResourceArns=[resource]
        )
        (result,) = answer["EvaluationResults"]
        return bool(result["EvalDecision"] == "allowed")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
