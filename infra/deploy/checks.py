"""What would fail late is refused early."""

import re

from botocore.exceptions import ClientError

from infra.common.errors import OperatorError
from infra.deploy.account import Account
from infra.deploy.plan import Plan

_IMAGE = re.compile(r"\d{12}\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/.+[:@].+")


def check(aws: Account, plan: Plan) -> None:
    """Refuse a deployment that cannot be.

    Raises:
        OperatorError: it cannot.
    """
    _check_image(aws, plan)
    _check_status(plan)
    _check_concurrency(plan)
    _check_nothing_is_left(aws, plan)


def _check_image(aws: Account, plan: Plan) -> None:
    image = plan.given.get("ImageUri")
    if image is None and plan.there is None:
        raise OperatorError(
            "the first deployment needs an image: build it (make image), push it to ECR in this account "
            f"({aws.id}.dkr.ecr.{aws.region}.amazonaws.com/…), and name it with IMAGE_URI=…"
        )
    found = _IMAGE.fullmatch(image) if image else None
    if image and (not found or found[1] != aws.region):
        raise OperatorError(f"{image!r} is no image in the ECR of {aws.region}, and Lambda takes no others")


def _check_status(plan: Plan) -> None:
    status = (plan.there or {}).get("StackStatus")
    if status in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}:
        raise OperatorError(f"the stack {plan.stack} is {status}, and takes no changes: `make destroy` first")


def _check_concurrency(plan: Plan) -> None:
    limit, backfill = plan.wanted["MaximumConcurrency"], plan.wanted["BackfillConcurrency"]
    are_numbers = limit.isdecimal() and backfill.isdecimal()  # others CloudFormation refuses
    if plan.wanted["Trigger"] == "direct" and are_numbers and int(backfill) > int(limit):
        raise OperatorError(
            f"BackfillConcurrency={backfill} is a part of MaximumConcurrency={limit}, and cannot exceed it"
        )


def _check_nothing_is_left(aws: Account, plan: Plan) -> None:
    uploads, results = (f"{plan.stack}-{kind}-{aws.id}-{aws.region}" for kind in ("uploads", "results"))
    if plan.makes_uploads_bucket and _is_there(aws, uploads):
        raise OperatorError(
            f"the bucket {uploads} is there already, kept from earlier: go on using it with "
            f"SET=ExistingBucket={uploads}, or delete it"
        )
    if plan.there is None and _is_there(aws, results):
        raise OperatorError(
            f"the bucket {results} is there already, kept from an earlier stack of that name: delete it, or choose "
            "another name (STACK=…)"
        )


def _is_there(aws: Account, bucket: str) -> bool:
    try:
        aws.s3.head_bucket(Bucket=bucket)
    except ClientError:
        return False
    return True
