"""A manifest for S3 Batch Operations, which feeds the function without a queue or a machine of ours: for billions.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/specify-batchjob-manifest.html: `bucket,key` a line, keys
URL-encoded.
"""

import json
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from infra.common.files import atomic_write
from infra.common.paths import shown
from infra.operate.account import Account
from infra.operate.backfill.choice import Judged
from infra.operate.function import ask_setup

_FORMAT = "S3BatchOperations_CSV_20180820"
_NAMED_BY_YOU = "MANIFEST_BUCKET"

NOTHING = "Nothing is to be embedded, so there is no manifest."


def write_manifest(account: Account, path: Path, bucket: str, slices: Iterable[Judged]) -> str:
    """Write the keys that are to be embedded; the file appears whole or not at all.

    Returns:
        The commands that start the job; `NOTHING` where there is nothing to embed, and then there is no file either.

    Raises:
        OperatorError: it cannot be written.
    """
    with atomic_write(path) as file:
        for judged in slices:
            file.writelines(row(bucket, found.key) for found in judged.sent())
        is_empty = file.tell() == 0
    if is_empty:
        path.unlink()
        return NOTHING
    return commands(ask_setup(account).arn, path)


def row(bucket: str, key: str) -> bytes:
    """A line of it. A space is `%20`: some decode `+` to one, and some do not."""
    return f"{bucket},{quote(key, safe='/')}\n".encode()


def commands(function_arn: str, path: Path) -> str:
    """What to type for the job: the bucket of the manifest and the role are the operator's own."""
    _, partition, _, _, account, *_ = function_arn.split(":")
    operation = {"LambdaInvoke": {"FunctionArn": function_arn, "InvocationSchemaVersion": "2.0"}}
    report = {
        "Bucket": f"arn:{partition}:s3:::{_NAMED_BY_YOU}",
        "Prefix": "dropvec-reports",
        "Format": "Report_CSV_20180820",
        "Enabled": True,
        "ReportScope": "FailedTasksOnly",
    }
    key = re.sub(r"[^A-Za-z0-9._-]", "-", path.name)  # so that nothing needs quoting
    place = f"{_NAMED_BY_YOU}/{key}"
    where = f"ObjectArn=arn:{partition}:s3:::{place},ETag=$etag"
    return f"""
{shown(path)} is the manifest. To start the job, with a bucket and a role of yours (it must let S3 Batch Operations
invoke the function, read the manifest and write the report):

  aws s3 cp {shlex.quote(shown(path))} s3://{place}
  etag=$(aws s3api head-object --bucket {_NAMED_BY_YOU} --key {key} --query ETag --output text)
  aws s3control create-job --account-id {account} --priority 10 --no-confirmation-required \\
    --role-arn arn:{partition}:iam::{account}:role/ROLE --description dropvec \\
    --operation {shlex.quote(json.dumps(operation))} \\
    --manifest "Spec={{Format={_FORMAT},Fields=[Bucket,Key]}},Location={{{where}}}" \\
    --report {shlex.quote(json.dumps(report))}"""
