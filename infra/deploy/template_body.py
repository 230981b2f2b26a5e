"""How CloudFormation receives the template: in the request, or from S3 if it is too large for that."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from infra.common.errors import OperatorError
from infra.common.paths import TEMPLATE
from infra.common.template import load, to_json
from infra.deploy.account import Account

# CloudFormation's limit for a template in the request, in bytes. In S3 a template may have 1 MB.
INLINE_LIMIT = 51_200


def template_body() -> str:
    """The template as JSON, without the section `Metadata`, which only arranges the console's form of parameters."""
    return to_json({name: section for name, section in load(TEMPLATE).items() if name != "Metadata"})


@contextmanager
def template_arguments(aws: Account, bucket: str | None) -> Iterator[Mapping[str, str]]:
    """The template as an argument of CreateChangeSet.

    An uploaded template is deleted at the end of the block: CloudFormation reads it when it creates the change set.

    Args:
        aws: the account.
        bucket: upload the template to this bucket; None sends it in the request.

    Raises:
        OperatorError: the template is too large for a request, and no bucket is named.
    """
    body = template_body()
    if bucket is None:
        if len(body) > INLINE_LIMIT:
            raise OperatorError(
                f"the template has {len(body):,} bytes and CloudFormation accepts {INLINE_LIMIT:,} in a request: name "
                "a bucket in this region to upload it to (--template-bucket)"
            )
        yield {"TemplateBody": body}
        return
    key = f"dropvec-template-{hashlib.sha256(body.encode()).hexdigest()[:16]}.json"
    aws.s3.put_object(Bucket=bucket, Key=key, Body=body.encode(), ContentType="application/json")
    try:
        yield {"TemplateURL": f"{aws.s3.meta.endpoint_url}/{bucket}/{key}"}
    finally:
        aws.s3.delete_object(Bucket=bucket, Key=key)
