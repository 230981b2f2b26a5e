"""Let browsers use an existing bucket with the forms and addresses that the HTTP API signs: its CORS rules."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from infra.common.prompt import confirm
from infra.deploy.account import Account

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

Rules = Sequence[Mapping[str, Any]]

_NO_RULES = "NoSuchCORSConfiguration"


def allow_browsers(aws: Account, stack: str, wanted: Mapping[str, str], *, yes: bool) -> None:
    """Add the stack's CORS rule to an existing bucket if its gallery needs it, after confirmation; other rules stay.

    Args:
        aws: the account.
        stack: the stack's name.
        wanted: the stack's parameters.
        yes: do not ask.
    """
    bucket = wanted["ExistingBucket"]
    if not bucket:
        return
    rule = _rule(stack) if wanted["Search"] == "true" and wanted["Api"] == "token" else None
    try:
        before = _read(aws.s3, bucket)
        after = _with(before, stack, rule)
        if after == before:
            return
        change = "added to" if rule else "removed from"
        print(f"\nA CORS rule for the gallery would be {change} the bucket {bucket}:\n  {rule or _rule(stack)}")
        if not confirm("Change the bucket's CORS rules and keep all others?", yes=yes):
            print("Not changed: browsers cannot upload large files, and cannot show originals.")
            return
        _write(aws.s3, bucket, after)
        print("Changed.")
    except ClientError as error:
        print(f"\nThe owner of the bucket {bucket} must add this CORS rule: {_rule(stack)}, because: {error}")


def remove_rule(aws: Account, bucket: str, stack: str) -> None:
    """Remove the stack's CORS rule from a bucket, or print what its owner must remove."""
    try:
        before = _read(aws.s3, bucket)
        after = _with(before, stack, None)
        if after != before:
            _write(aws.s3, bucket, after)
            print(f"Removed the CORS rule of the stack {stack} from the bucket {bucket}.")
    except aws.s3.exceptions.NoSuchBucket:
        pass
    except ClientError as error:
        print(f"The owner of the bucket {bucket} must remove the CORS rule {_id(stack)}, because: {error}")


def _id(stack: str) -> str:
    return f"dropvec-{stack}"


def _rule(stack: str) -> Mapping[str, Any]:
    """The rule of the bucket that the template creates."""
    methods = {"AllowedMethods": ["GET", "POST"], "AllowedHeaders": ["*"], "MaxAgeSeconds": 3600}
    return {"ID": _id(stack), "AllowedOrigins": ["*"], **methods}


def _with(rules: Rules, stack: str, rule: Mapping[str, Any] | None) -> Rules:
    """The rules with the stack's rule, or without it."""
    if rule in rules:
        return rules
    others = [one for one in rules if one.get("ID") != _id(stack)]
    return others if rule is None else [*others, rule]


def _read(s3: "S3Client", bucket: str) -> Rules:
    try:
        return [dict(one) for one in s3.get_bucket_cors(Bucket=bucket)["CORSRules"]]
    except ClientError as error:
        if error.response["Error"]["Code"] == _NO_RULES:
            return []
        raise


def _write(s3: "S3Client", bucket: str, rules: Rules) -> None:
    if rules:
        configuration: Any = {"CORSRules": list(rules)}
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=configuration)
    else:
        s3.delete_bucket_cors(Bucket=bucket)
