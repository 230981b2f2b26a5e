"""What a deleted stack left behind: its buckets with their policies, its table and its vector bucket.

CloudFormation lists a deleted stack, its parameters and its events for 90 days. The generated names of the table and of
the vector bucket are found there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from infra.common.errors import CheckError
from infra.deploy.account import Account, needs

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.deploy.plan import Plan

_IMPORTED = {"IMPORT_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"}
_MISSING = {"NoSuchBucketPolicy", "NotFoundException", "ResourceNotFoundException"}


@dataclass(frozen=True)
class Kept:
    """What there is of a stack that is created again.

    Attributes:
        parameters: the parameters of the earlier stack; empty if they are unknown.
        resources: by logical id, what identifies a resource: the name of a bucket, of a policy's bucket or of a table,
            or a vector bucket's ARN.
        is_imported: whether the stack exists and has these resources, and no others yet.
    """

    parameters: Mapping[str, str]
    resources: Mapping[str, str]
    is_imported: bool = False


def with_kept(aws: Account, plan: "Plan", named: Mapping[str, str] | None) -> "Plan":
    """The plan with what an earlier stack of the same name kept, if the stack does not exist.

    Args:
        aws: the account.
        plan: the deployment.
        named: names of kept resources, by logical id; an empty name means that there is none.

    Raises:
        CheckError: a named resource does not exist, or buckets were kept and their table is unknown.
    """
    kept = _find_kept(aws, plan, named or {})
    if kept is None:
        return plan
    images = {name: kept.parameters[name] for name in ("ImageUri", "ApiImageUri") if kept.parameters.get(name)}
    return replace(plan, current=None, kept=kept, given={**images, **plan.given})


def _find_kept(aws: Account, plan: "Plan", named: Mapping[str, str]) -> Kept | None:
    if plan.current and not _is_only_imported(plan.current):
        if named:
            raise CheckError(f"the stack {plan.stack} exists: --import is for a stack that is created")
        return None
    if plan.current:
        listed = aws.cloudformation.describe_stack_resources(StackName=plan.stack)["StackResources"]
        resources = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}
        return Kept(plan.deployed, resources, is_imported=True)
    buckets = dict(_buckets(aws, plan.stack))
    if not buckets and not named:
        return None
    if record := _record(aws, plan.stack):
        parameters, names = record
    elif "Table" in named:
        parameters, names = {}, {}
    else:
        raise CheckError(
            f"the bucket {buckets[next(iter(buckets))]} already exists, and CloudFormation has no deleted stack "
            f"{plan.stack} (it lists them for 90 days): name the kept table and vector bucket (--import Table=NAME "
            "VectorBucket=NAME), delete the buckets, or choose another name for the stack"
        )
    return Kept(parameters, {**buckets, **_generated(aws, names, named)})


def kept_vector_bucket(aws: Account, stack: str) -> str:
    """The name of the vector bucket that a deleted stack kept; empty if there is none any more."""
    record = _record(aws, stack)
    arn = _generated(aws, {"VectorBucket": record[1].get("VectorBucket", "")}, {}) if record else {}
    return arn.get("VectorBucket", "").rpartition("/")[2]


def bucket_name(aws: Account, stack: str, kind: str) -> str:
    """The name that the template gives a bucket; the kind is `uploads` or `results`."""
    return f"{stack}-{kind}-{aws.id}-{aws.region}"


def bucket_exists(aws: Account, bucket: str) -> bool:
    """Whether this account has a bucket."""
    try:
        aws.s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=aws.id)
    except ClientError:
        return False
    return True


def _is_only_imported(stack: Mapping[str, Any]) -> bool:
    """Whether a stack has nothing but imported resources: an import adds no outputs, and a complete stack has some."""
    return stack["StackStatus"] in _IMPORTED and not stack.get("Outputs")


def _buckets(aws: Account, stack: str) -> Iterator[tuple[str, str]]:
    """The buckets that have the names of the stack's buckets, and which of them have a policy."""
    for kind in ("Uploads", "Results"):
        bucket = bucket_name(aws, stack, kind.lower())
        if bucket_exists(aws, bucket):
            yield f"{kind}Bucket", bucket
            with needs("s3:GetBucketPolicy"):
                policy = _found(aws.s3.get_bucket_policy, Bucket=bucket)
            if policy:
                yield f"{kind}BucketPolicy", bucket


def _record(aws: Account, stack: str) -> tuple[Mapping[str, str], Mapping[str, str]] | None:
    """The parameters of the last deleted stack that kept something, and the names of what it kept."""
    with needs("cloudformation:ListStacks"):
        pages = _pages(aws.cloudformation.list_stacks, StackStatusFilter=["DELETE_COMPLETE"])
        deleted = [one for page in pages for one in page["StackSummaries"] if one["StackName"] == stack]
    deleted.sort(key=lambda one: one.get("DeletionTime", one["CreationTime"]), reverse=True)
    for one in deleted:
        if names := dict(_retained(aws, one["StackId"])):
            (described,) = aws.cloudformation.describe_stacks(StackName=one["StackId"])["Stacks"]
            parameters = {each["ParameterKey"]: each["ParameterValue"] for each in described.get("Parameters", [])}
            return parameters, names
    return None


def _retained(aws: Account, stack_id: str) -> Iterator[tuple[str, str]]:
    """What the deletion of a stack retained, as logical and physical ids."""
    pages = _pages(aws.cloudformation.describe_stack_events, StackName=stack_id)
    for event in (event for page in pages for event in page["StackEvents"]):  # the newest first
        is_of_stack = event.get("PhysicalResourceId") == stack_id
        if is_of_stack and not event["ResourceStatus"].startswith("DELETE_"):
            return  # an update before the deletion, which may have retained other resources
        if event["ResourceStatus"] == "DELETE_SKIPPED":
            yield event["LogicalResourceId"], event["PhysicalResourceId"]


def _pages(call: "Callable[..., Any]", **arguments: object) -> Iterator[Mapping[str, Any]]:
    token: Mapping[str, str] = {}
    while True:
        page = call(**arguments, **token)
        yield page
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _generated(aws: Account, names: Mapping[str, str], named: Mapping[str, str]) -> dict[str, str]:
    """The table and the vector bucket, if they still exist, by logical id.

    Raises:
        CheckError: a resource that the user named does not exist.
    """
    found: dict[str, str] = {}
    wanted = {**names, **named}
    if table := wanted.get("Table"):
        with needs("dynamodb:DescribeTable"):
            answer = _found(aws.dynamodb.describe_table, TableName=table)
        found |= {"Table": table} if answer else {}
    if bucket := wanted.get("VectorBucket"):
        name = bucket.rpartition("/")[2]
        with needs("s3vectors:GetVectorBucket"):
            answer = _found(aws.s3vectors.get_vector_bucket, vectorBucketName=name)
        found |= {"VectorBucket": answer["vectorBucket"]["vectorBucketArn"]} if answer else {}
    for kind, name in named.items():
        if name and kind not in found:
            raise CheckError(f"{kind}={name}: there is none of this name in {aws.region} of account {aws.id}")
    return found


def _found(call: "Callable[..., Any]", **arguments: str) -> Any:  # noqa: ANN401 - the answer of any call
    """The answer to a call; None if the resource does not exist."""
    try:
        return call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING:
            raise
        return None
