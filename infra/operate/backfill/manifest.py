"""A manifest for S3 Batch Operations, which invokes the function without the queue or this program: for billions.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/specify-batchjob-manifest.html: a line `bucket,key` per object,
with the key URL-encoded.
"""

import json
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from infra.common.files import atomic_write
from infra.common.paths import shown
from infra.operate.backfill.selection import DecidedSlice
from infra.operate.function import fetch_config
from infra.operate.stack import DeployedStack

_FORMAT = "S3BatchOperations_CSV_20180820"
_BUCKET_PLACEHOLDER = "MANIFEST_BUCKET"

NOTHING = "There is nothing to embed, so no manifest was written."


def write_manifest(stack: DeployedStack, path: Path, bucket: str, slices: Iterable[DecidedSlice]) -> str:
    """Write the keys of the objects to embed to a file, atomically.

    Returns:
        The commands that start the job; `NOTHING` if there is nothing to embed, and then no file is left.

    Raises:
        OperatorError: the file cannot be written.
    """
    with atomic_write(path) as file:
        for decided in slices:
            file.writelines(row(bucket, listed.key) for listed in decided.sent())
        is_empty = file.tell() == 0
    if is_empty:
        path.unlink()
        return NOTHING
    return commands(fetch_config(stack).arn, path)


def row(bucket: str, key: str) -> bytes:
    """A line of the manifest. A space is encoded as `%20`, because not every decoder turns `+` into a space."""
    return f"{bucket},{quote(key, safe='/')}\n".encode()


def commands(function_arn: str, path: Path) -> str:
    """The commands that start the job; the user fills in a bucket for the manifest and a role."""
    _, partition, _, _, account, *_ = function_arn.split(":")
    operation = {"LambdaInvoke": {"FunctionArn": function_arn, "InvocationSchemaVersion": "2.0"}}
    report = {
        "Bucket": f"arn:{partition}:s3:::{_BUCKET_PLACEHOLDER}",
        "Prefix": "dropvec-reports",
        "Format": "Report_CSV_20180820",
        "Enabled": True,
        "ReportScope": "FailedTasksOnly",
    }
    key = re.sub(r"[^A-Za-z0-9._-]", "-", path.name)  # so that the shell needs no quotes
    destination = f"{_BUCKET_PLACEHOLDER}/{key}"
    location = f"ObjectArn=arn:{partition}:s3:::{destination},ETag=$etag"
    return f"""
The manifest is {shown(path)}. To start the job, run these commands with {_BUCKET_PLACEHOLDER} and ROLE replaced by a
bucket and a role of yours. The role must allow S3 Batch Operations to invoke the function, read the manifest and write
the report.

  aws s3 cp {shlex.quote(shown(path))} s3://{destination}
  etag=$(aws s3api head-object --bucket {_BUCKET_PLACEHOLDER} --key {key} --query ETag --output text)
  aws s3control create-job --account-id {account} --priority 10 --no-confirmation-required \\
    --role-arn arn:{partition}:iam::{account}:role/ROLE --description dropvec \\
    --operation {shlex.quote(json.dumps(operation))} \\
    --manifest "Spec={{Format={_FORMAT},Fields=[Bucket,Key]}},Location={{{location}}}" \\
    --report {shlex.quote(json.dumps(report))}"""
