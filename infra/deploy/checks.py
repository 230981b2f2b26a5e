"""Checks before a deployment, for errors that CloudFormation would report late or unclearly."""

import re

from botocore.exceptions import ClientError

from infra.common.errors import OperatorError
from infra.deploy.account import Account
from infra.deploy.http_api import check_api
from infra.deploy.plan import Plan
from infra.deploy.vector_bucket import check_region

_IMAGE = re.compile(r"\d{12}\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/.+[:@].+")


def check(aws: Account, plan: Plan) -> None:
    """Check a planned deployment.

    Raises:
        OperatorError: it would fail.
    """
    _check_image(aws, plan)
    _check_status(plan)
    _check_concurrency(plan)
    _check_bucket_names(aws, plan)
    check_api(aws, plan)
    if plan.creates_index:
        check_region(aws)


def _check_image(aws: Account, plan: Plan) -> None:
    image = plan.given.get("ImageUri")
    if image is None and plan.current is None:
        raise OperatorError(
            "the first deployment needs an image: build it (`image`), push it to ECR in this account "
            f"({aws.id}.dkr.ecr.{aws.region}.amazonaws.com/…), and pass its URI as IMAGE_URI=…"
        )
    for uri in (image, plan.given.get("ApiImageUri")):
        match = _IMAGE.fullmatch(uri) if uri else None
        if uri and (not match or match[1] != aws.region):
            raise OperatorError(f"{uri!r} is not an image in ECR in {aws.region}: Lambda accepts no other images")


def _check_status(plan: Plan) -> None:
    status = (plan.current or {}).get("StackStatus")
    if status in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}:
        raise OperatorError(f"the stack {plan.stack} is {status} and cannot be updated: run `make destroy` first")


def _check_concurrency(plan: Plan) -> None:
    limit, backfill = plan.wanted["MaximumConcurrency"], plan.wanted["BackfillConcurrency"]
    are_numbers = limit.isdecimal() and backfill.isdecimal()  # CloudFormation rejects other values
    if plan.wanted["Trigger"] == "direct" and are_numbers and int(backfill) > int(limit):
        raise OperatorError(f"BackfillConcurrency={backfill} must not exceed MaximumConcurrency={limit}")


def _check_bucket_names(aws: Account, plan: Plan) -> None:
    """Check for buckets that an earlier stack of the same name left behind."""
    uploads, results = (f"{plan.stack}-{kind}-{aws.id}-{aws.region}" for kind in ("uploads", "results"))
    if plan.creates_uploads_bucket and _exists(aws, uploads):
        raise OperatorError(
            f"the bucket {uploads} already exists, kept from an earlier deployment: use it with "
            f"SET=ExistingBucket={uploads}, or delete it"
        )
    if plan.current is None and _exists(aws, results):
        raise OperatorError(
            f"the bucket {results} already exists, kept from an earlier stack of the same name: delete it, or choose "
            "another name (STACK=…)"
        )


def _exists(aws: Account, bucket: str) -> bool:
    try:
        aws.s3.head_bucket(Bucket=bucket)
    except ClientError:
        return False
    return True
