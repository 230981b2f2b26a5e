"""The user's own AWS account, through the credentials and region that the aws command would use."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from infra.common.aws_session import user_session
from infra.common.errors import OperatorError

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_s3 import S3Client

_STACK_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,25}[a-z0-9])?")


@dataclass(frozen=True)
class Account:
    """Clients of one account in one region.

    Attributes:
        id: twelve digits.
        region: such as eu-west-1.
    """

    id: str
    region: str
    cloudformation: "CloudFormationClient"
    s3: "S3Client"


@contextmanager
def account() -> Iterator[Account]:
    """The account, while what AWS refuses is told in one line.

    Raises:
        OperatorError: there are no credentials, no region, no network, or AWS refused something.
    """
    try:
        found = user_session()
        if not found.region_name:
            raise OperatorError("no region is set: set AWS_REGION, or one in the profile with `aws configure`")
        cloudformation: CloudFormationClient = found.client("cloudformation")
        s3: S3Client = found.client("s3")
        identity = found.client("sts").get_caller_identity()
        yield Account(identity["Account"], found.region_name, cloudformation, s3)
    except (BotoCoreError, ClientError) as error:
        raise OperatorError(f"AWS: {error}") from None


def check_stack_name(name: str) -> str:
    """A stack name that also fits into the names of buckets.

    Raises:
        OperatorError: it does not.
    """
    if not _STACK_NAME.fullmatch(name):
        raise OperatorError(
            f"{name!r} cannot be the stack's name: its buckets are named after it, so it takes up to 27 lower-case "
            "letters, digits and hyphens, and begins with a letter"
        )
    return name


def agreed(question: str, *, yes: bool) -> bool:
    """Ask a person; an empty answer, and no person at all, mean no."""
    if yes:
        return True
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        print()
        return False
