"""Checks before a deployment, for errors that CloudFormation would report late, unclearly, or after other changes."""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from infra.common.errors import CheckError
from infra.deploy.account import Account, needs
from infra.deploy.concurrency import check_concurrency
from infra.deploy.http_api import check_api
from infra.deploy.kept import bucket_exists, bucket_name
from infra.deploy.plan import Plan
from infra.deploy.vector_bucket import VECTOR_BUCKET_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable


def check(aws: Account, plan: Plan) -> None:
    """Check a planned deployment.

    Raises:
        CheckError: it would fail, or a permission to check it is missing.
    """
    checks: tuple[Callable[[Account, Plan], None], ...] = (
        _check_status,
        check_concurrency,
        _check_existing_bucket,
        _check_bucket_names,
        _check_log_groups,
        _check_services,
        _check_alarm_topic,
        check_api,
    )
    for one in checks:
        one(aws, plan)


def _check_status(_: Account, plan: Plan) -> None:
    status = str((plan.current or {}).get("StackStatus", ""))
    if status in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}:
        raise CheckError(f"the stack {plan.stack} is {status} and cannot be updated: run `make destroy` first")
    if status == "UPDATE_ROLLBACK_FAILED":
        raise CheckError(
            f"the stack {plan.stack} is {status}: fix the cause that its events name, then run `aws cloudformation "
            f"continue-update-rollback --stack-name {plan.stack}`"
        )
    if status.endswith("IN_PROGRESS"):
        raise CheckError(f"the stack {plan.stack} is {status}: wait until that ends, and run the command again")


def _check_existing_bucket(aws: Account, plan: Plan) -> None:
    """Check that a bucket that the stack is to use exists in this account and region."""
    bucket = plan.wanted["ExistingBucket"]
    if not bucket or bucket == plan.deployed.get("ExistingBucket"):
        return
    try:
        answer = aws.s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=aws.id)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in {"404", "NoSuchBucket"}:
            raise CheckError(f"there is no bucket {bucket}: create it, or correct ExistingBucket") from None
        if code in {"403", "AccessDenied"}:
            raise CheckError(
                f"the bucket {bucket} does not belong to the account {aws.id}, or you lack the permission "
                "s3:ListBucket for it"
            ) from None
        raise
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    region = headers.get("x-amz-bucket-region", aws.region)
    if region != aws.region:
        raise CheckError(
            f"the bucket {bucket} is in {region}, and the stack would be in {aws.region}, where it cannot receive the "
            f"bucket's events: deploy with AWS_REGION={region}"
        )


def _check_bucket_names(aws: Account, plan: Plan) -> None:
    """Check for an uploads bucket that the stack, or an earlier one of the same name, had before."""
    uploads = bucket_name(aws, plan.stack, "uploads")
    if plan.creates_uploads_bucket and bucket_exists(aws, uploads):
        raise CheckError(
            f"the bucket {uploads} already exists, kept from an earlier deployment: use it with "
            f"SET=ExistingBucket={uploads}, or delete it"
        )


def _check_log_groups(aws: Account, plan: Plan) -> None:
    """Check for log groups of the names that the stack creates, left by earlier functions of these names."""
    for name in plan.created_log_groups:
        with needs("logs:DescribeLogGroups"):
            found = aws.logs.describe_log_groups(logGroupNamePrefix=name, limit=1)["logGroups"]
        if name in {one["logGroupName"] for one in found}:  # they are sorted by name, so the shortest is the first
            raise CheckError(
                f"the log group {name} already exists: delete it with `aws logs delete-log-group --region "
                f"{aws.region} --log-group-name {name}`, or choose another name for the stack (STACK=…)"
            )


def _check_services(aws: Account, plan: Plan) -> None:
    """Check that the region offers what not all regions offer."""
    if plan.creates_index and not _is_offered(aws, VECTOR_BUCKET_TYPE):
        raise CheckError(
            f"Amazon S3 Vectors is not offered in {aws.region}: deploy without search (SET=Search=false), or choose "
            "another region"
        )
    if plan.creates_url and not _is_offered(aws, "AWS::Lambda::Url"):
        raise CheckError(
            f"Lambda's function URLs are not offered in {aws.region}: deploy without one (SET=Api=none), or choose "
            "another region"
        )


def _is_offered(aws: Account, resource_type: str) -> bool:
    """Whether CloudFormation knows a resource type in this region; an emulator may not know the question."""
    try:
        with needs("cloudformation:DescribeType"):
            aws.cloudformation.describe_type(Type="RESOURCE", TypeName=resource_type)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"TypeNotFoundException", "InvalidAction"}:
            raise
        return error.response["Error"]["Code"] == "InvalidAction"
    return True


def _check_alarm_topic(aws: Account, plan: Plan) -> None:
    topic = plan.given.get("AlarmTopicArn")
    if not topic:
        return
    _, _, _, region, account, _ = topic.split(":")
    if region != aws.region:
        raise CheckError(f"the alarm topic {topic} is in {region}; an alarm in {aws.region} needs a topic there")
    try:
        with needs("sns:GetTopicAttributes"):
            aws.sns.get_topic_attributes(TopicArn=topic)
    except CheckError:
        if account == aws.id:
            raise
        return  # the owner of a topic in another account need not let you read it
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"NotFound", "NotFoundException"}:
            raise
        raise CheckError(f"there is no alarm topic {topic}: create it, or correct AlarmTopicArn") from None
