"""The user's AWS account, with the same credentials and region as the aws command."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.common.aws_session import user_session
from infra.common.errors import OperatorError

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_lambda import LambdaClient
    from types_boto3_s3 import S3Client

_PATIENT = Config(read_timeout=900, retries={"max_attempts": 1})  # the longest invocation
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
    """

    id: str
    region: str
    cloudformation: "CloudFormationClient"
    s3: "S3Client"
    s3vectors: Any
    lambda_: "LambdaClient"


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
        cloudformation: CloudFormationClient = session.client("cloudformation")
        s3: S3Client = session.client("s3")
        make_client: Any = session.client  # there is no type package for S3 Vectors
        lambda_: LambdaClient = session.client("lambda", config=_PATIENT)
        identity = session.client("sts").get_caller_identity()
        yield Account(identity["Account"], session.region_name, cloudformation, s3, make_client("s3vectors"), lambda_)
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(f"AWS: {error}") from None


def check_stack_name(name: str) -> str:
    """Check that a stack name also fits into the names of its buckets.

    Raises:
        OperatorError: it does not.
    """
    if not _STACK_NAME.fullmatch(name):
        raise OperatorError(
            f"{name!r} is not a valid stack name: it becomes part of bucket names, so use up to 27 lower-case letters, "
            "digits and hyphens, starting with a letter"
        )
    return name


def confirm(question: str, *, yes: bool) -> bool:
    """Ask the user, unless `yes`; an empty answer and a closed standard input mean no."""
    if yes:
        return True
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        print()
        return False
