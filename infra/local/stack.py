"""Deploy the template to a local AWS, and verify what was created."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.common import template
from infra.common.local_session import CONFIG, session
from infra.common.local_stack import Stack
from infra.common.paths import HANDLER, TEMPLATE
from infra.local.package import ENTRY_POINT, function_zip
from infra.local.server import LocalAws

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

STACK_NAME = "dropvec"
ARTIFACTS_BUCKET = "dropvec-artifacts"

# Two workers are enough to use the processors of a small machine.
PARAMETERS = {"ImageUri": "replaced-by-a-zip", "MaximumConcurrency": "2", "Api": "token"}

_DEPLOY_SECONDS = 60.0
# The parts of a bucket's notification configuration that send events.
_NOTIFICATIONS = {"QueueConfigurations", "LambdaFunctionConfigurations", "EventBridgeConfiguration"}


def deploy(
    aws: LocalAws,
    bundle: Path,
    *,
    package: Path = HANDLER,
    path: Path = TEMPLATE,
    parameters: Mapping[str, str] | None = None,
) -> Stack:
    """Deploy a template through CloudFormation, with its functions as a zip file.

    Args:
        aws: the local AWS.
        bundle: the functions' model bundle.
        package: the functions' Python package.
        path: the template.
        parameters: parameters of the template that differ from the defaults.

    Raises:
        OperatorError: the local AWS returned an error, or reported success and created only a part.
    """
    code = template.ZipCode(ARTIFACTS_BUCKET, "function.zip", ENTRY_POINT)
    body, swapped = template.with_zip_functions(template.load(path), code)
    try:
        s3 = session().client("s3", endpoint_url=aws.endpoint, config=CONFIG)
        s3.create_bucket(Bucket=code.bucket)
        s3.put_object(Bucket=code.bucket, Key=code.key, Body=function_zip(package, bundle))
        outputs = _create(aws, body, PARAMETERS | dict(parameters or {}))
        stack = Stack.of(
            aws.endpoint,
            outputs,
            api_url=aws.api_url if "ApiUrl" in outputs else None,
            token=_token(aws, outputs.get("TokenSecretArn")),
            swapped=tuple(name for name in swapped if f"{name.removesuffix('Function') or name}Name" in outputs),
        )
        _check_resources(stack, owns_uploads=not (parameters or {}).get("ExistingBucket"))
    except (ClientError, BotoCoreError) as error:
        raise aws.failure(f"could not deploy {path.name}: {error}") from None
    except LookupError as error:
        raise aws.failure(f"{path.name} is deployed, but the local AWS did not create {error}") from None
    return stack


def describe(stack: Stack) -> str:
    """How the deployed stack differs from one on AWS."""
    names = (
        f"{', '.join(stack.swapped[:-1])} and {stack.swapped[-1]} run"
        if stack.swapped[1:]
        else f"{stack.swapped[0]} runs"
    )
    text = (
        f"Deployed infra/template.yaml with one difference: {names} from a zip file, because a container image needs "
        "Docker. The handler and the runtime client are the same."
    )
    return f"{text} S3 Vectors is a stand-in for development." if stack.vector_bucket else text


def _create(aws: LocalAws, body: template.Template, parameters: Mapping[str, str]) -> dict[str, str]:
    cloudformation: CloudFormationClient = session().client("cloudformation", endpoint_url=aws.endpoint, config=CONFIG)
    cloudformation.create_stack(
        StackName=STACK_NAME,
        TemplateBody=template.to_json(body),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    deadline = time.monotonic() + _DEPLOY_SECONDS
    while True:
        (stack,) = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"]
        if stack["StackStatus"] == "CREATE_COMPLETE":
            return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        if stack["StackStatus"] != "CREATE_IN_PROGRESS" or time.monotonic() > deadline:
            raise aws.failure(f"the stack is {stack['StackStatus']}: {_first_failure(cloudformation)}")
        time.sleep(0.05)


def _token(aws: LocalAws, secret: str | None) -> str | None:
    if secret is None:
        return None
    client: Any = session().client("secretsmanager", endpoint_url=aws.endpoint, config=CONFIG)
    token: str = client.get_secret_value(SecretId=secret)["SecretString"]
    return token


def _first_failure(cloudformation: "CloudFormationClient") -> str:
    events = cloudformation.describe_stack_events(StackName=STACK_NAME)["StackEvents"]
    failed = [event for event in events if event.get("ResourceStatus", "").endswith("FAILED")]
    if not failed:
        return "no resource has failed"
    first = min(failed, key=lambda event: event["Timestamp"])
    return f"{first.get('LogicalResourceId')}: {first.get('ResourceStatusReason', 'no reason given')}"


def _check_resources(stack: Stack, *, owns_uploads: bool) -> None:
    """Check the resources that uploads depend on: an emulator may report CREATE_COMPLETE and omit some.

    Args:
        stack: the stack.
        owns_uploads: whether the stack configures the uploads bucket's notifications; an existing bucket's owner does.

    Raises:
        LookupError: its text names what is missing.
    """
    stack.s3.head_bucket(Bucket=stack.results_bucket)
    stack.dynamodb.describe_table(TableName=stack.table)
    stack.lambda_.get_function(FunctionName=stack.function)
    stack.sqs.get_queue_attributes(QueueUrl=stack.dead_letter_queue_url)
    notifications: dict[str, Any] = dict(stack.s3.get_bucket_notification_configuration(Bucket=stack.uploads_bucket))
    queue = stack.sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=["All"])["Attributes"]
    mappings = stack.lambda_.list_event_source_mappings(FunctionName=stack.function)["EventSourceMappings"]
    response_types = [mapping.get("FunctionResponseTypes") for mapping in mappings]
    created: dict[str, object] = {
        "the bucket's notifications": not owns_uploads or notifications.keys() & _NOTIFICATIONS,
        "the queue's redrive policy": queue.get("RedrivePolicy"),
        "the event source mapping with partial batch responses": response_types == [["ReportBatchItemFailures"]],
        "the indexer's event source mapping": not stack.indexer or _is_connected(stack, stack.indexer),
    }
    for name, exists in created.items():
        if not exists:
            raise LookupError(name)


def _is_connected(stack: Stack, indexer: str) -> bool:
    """Whether the table's stream of old and new items invokes the indexer."""
    table = stack.dynamodb.describe_table(TableName=stack.table)["Table"]
    mappings = stack.lambda_.list_event_source_mappings(FunctionName=indexer)["EventSourceMappings"]
    sources = [mapping.get("EventSourceArn") for mapping in mappings]
    kind = table.get("StreamSpecification", {}).get("StreamViewType")
    return kind == "NEW_AND_OLD_IMAGES" and sources == [table.get("LatestStreamArn")]
