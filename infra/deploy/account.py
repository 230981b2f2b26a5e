"""The user's AWS account, with the same credentials and region as the aws command."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.common.aws_session import user_session
from infra.common.errors import CheckError, OperatorError

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_lambda import LambdaClient
    from types_boto3_s3 import S3Client

_PATIENT = Config(read_timeout=900, retries={"max_attempts": 1})  # the longest invocation
_DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
_STACK_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,25}[a-z0-9])?")


@dataclass(frozen=True)
class Account:
    """Clients for one account and region.

    Attributes:
        id: the account's twelve digits.
        region: such as eu-west-1.
        cloudformation: CloudFormation client.
        s3: S3 client.
        s3vectors: S3 Vectors client.
        lambda_: Lambda client.
        ecr: Amazon ECR client.
        logs: CloudWatch Logs client.
        sns: Amazon SNS client.
        dynamodb: DynamoDB client.
    """

    id: str
    region: str
    cloudformation: "CloudFormationClient"
    s3: "S3Client"
    s3vectors: Any
    lambda_: "LambdaClient"
    ecr: Any
    logs: Any
    sns: Any
    dynamodb: Any


@contextmanager
def account() -> Iterator[Account]:
    """The account; AWS errors in the block become OperatorErrors of one line.

    Raises:
        OperatorError: there are no credentials, no region, no network, or AWS returns an error.
    """
    try:
        session = user_session()
        if not session.region_name:
            raise OperatorError("no region is set: set AWS_REGION, or a region in your profile with `aws configure`")
        identity = session.client("sts").get_caller_identity()
        make_client: Any = session.client  # there is no type package for most of them
        yield Account(
            id=identity["Account"],
            region=session.region_name,
            cloudformation=make_client("cloudformation"),
            s3=make_client("s3"),
            s3vectors=make_client("s3vectors"),
            lambda_=make_client("lambda", config=_PATIENT),
            ecr=make_client("ecr"),
            logs=make_client("logs"),
            sns=make_client("sns"),
            dynamodb=make_client("dynamodb"),
        )
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(f"AWS: {error}") from None


@contextmanager
def needs(action: str) -> Iterator[None]:
    """Turn a denied call of the block into an error that names the missing permission.

    Raises:
        CheckError: the call is denied.
    """
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in _DENIED:
            raise
        raise CheckError(
            f"you lack the permission {action}; docs/deployer-policy.json has all permissions that push and deploy need"
        ) from None


def check_stack_name(name: str) -> str:
    """Check that a stack name also fits into the names of its buckets.

    Raises:
        CheckError: it does not.
    """
    if not _STACK_NAME.fullmatch(name):
        raise CheckError(
            f"{name!r} is not a valid stack name: it becomes part of bucket names, so use up to 27 lower-case letters, "
            "digits and hyphens, starting with a letter"
        )
    return name
