"""Deploy the template to a local AWS; find what it made."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.common import template
from infra.common.local_session import CONFIG, REGION, session
from infra.common.local_stack import Stack
from infra.common.paths import HANDLER, TEMPLATE
from infra.local.package import ENTRY_POINT, function_zip
from infra.local.server import LocalAws

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

STACK_NAME = "dropvec"
ARTIFACTS_BUCKET = "dropvec-artifacts"
SWAPPED = (
    "Deployed infra/template.yaml as it is, but for one swap: {names} runs from a zip, not from a container image "
    "(that needs Docker); it is the same handler under the same runtime client."
)

# Two workers keep a small machine's processors busy; the template's own default is for the cloud.
PARAMETERS = {"ImageUri": "swapped-for-a-zip", "MaximumConcurrency": "2"}

_DEPLOY_SECONDS = 60.0
# What a bucket may have others told by.
_TOLD = {"QueueConfigurations", "LambdaFunctionConfigurations", "EventBridgeConfiguration"}


def deploy(
    aws: LocalAws,
    bundle: Path,
    *,
    package: Path = HANDLER,
    path: Path = TEMPLATE,
    parameters: Mapping[str, str] | None = None,
) -> Stack:
    """Deploy a template, with the function as a zip, through CloudFormation.

    Args:
        aws: where to.
        bundle: the model bundle that the function loads.
        package: the function's package.
        path: the template.
        parameters: the template's, where they are not to be its defaults.

    Raises:
        OperatorError: the local AWS refused it, or said that it is done and is not.
    """
    code = template.ZipCode(ARTIFACTS_BUCKET, "function.zip", ENTRY_POINT)
    body, swapped = template.with_zip_functions(template.load(path), code)
    try:
        s3 = session().client("s3", endpoint_url=aws.endpoint, config=CONFIG)
        s3.create_bucket(Bucket=code.bucket)
        s3.put_object(Bucket=code.bucket, Key=code.key, Body=function_zip(package, bundle))
        outputs = _create(aws, body, PARAMETERS | dict(parameters or {}))
        stack = Stack(
            endpoint=aws.endpoint,
            region=REGION,
            uploads_bucket=outputs["UploadsBucket"],
            results_bucket=outputs["ResultsBucket"],
            table=outputs["TableName"],
            function=outputs["FunctionName"],
            queue_url=outputs["QueueUrl"],
            dead_letter_queue_url=outputs["DeadLetterQueueUrl"],
            swapped=tuple(swapped),
        )
        _mend_numbers(stack)
        _check_made(stack, is_told=not (parameters or {}).get("ExistingBucket"))
    except (ClientError, BotoCoreError) as error:
        raise aws.failure(f"could not deploy {path.name}: {error}") from None
    except LookupError as error:
        raise aws.failure(f"{path.name} is deployed, but the local AWS did not make {error}") from None
    return stack


def _create(aws: LocalAws, body: template.Template, parameters: Mapping[str, str]) -> dict[str, str]:
    cloudformation: CloudFormationClient = session().client("cloudformation", endpoint_url=aws.endpoint, config=CONFIG)
    cloudformation.create_stack(
        StackName=STACK_NAME,
        TemplateBody=json.dumps(body, separators=(",", ":")),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    deadline = time.monotonic() + _DEPLOY_SECONDS
    while True:
        (made,) = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"]
        if made["StackStatus"] == "CREATE_COMPLETE":
            return {output["OutputKey"]: output["OutputValue"] for output in made["Outputs"]}
        if made["StackStatus"] != "CREATE_IN_PROGRESS" or time.monotonic() > deadline:
            raise aws.failure(f"the stack is {made['StackStatus']}: {_first_failure(cloudformation)}")
        time.sleep(0.05)


def _first_failure(cloudformation: "CloudFormationClient") -> str:
    events = cloudformation.describe_stack_events(StackName=STACK_NAME)["StackEvents"]
    failed = [event for event in events if event.get("ResourceStatus", "").endswith("FAILED")]
    if not failed:
        return "no resource says why"
    first = min(failed, key=lambda event: event["Timestamp"])
    return f"{first.get('LogicalResourceId')}: {first.get('ResourceStatusReason', 'no reason given')}"


def _mend_numbers(stack: Stack) -> None:
    """Set the mapping's concurrency again, as a number.

    This emulator's CloudFormation hands on a `Number` parameter as the text that it came as; its poller then
    cannot compare it, and takes nothing from the queue.
    """
    for mapping in stack.lambda_.list_event_source_mappings(FunctionName=stack.function)["EventSourceMappings"]:
        limit = int(mapping["ScalingConfig"]["MaximumConcurrency"])
        stack.lambda_.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": limit})


def _check_made(stack: Stack, *, is_told: bool) -> None:
    """Look at what the uploads travel through: an emulator may call a stack complete and leave a part out.

    Args:
        stack: it.
        is_told: whether the stack has the bucket tell it of uploads; of an existing one its owner does.

    Raises:
        LookupError: names what is missing.
    """
    stack.s3.head_bucket(Bucket=stack.results_bucket)
    stack.dynamodb.describe_table(TableName=stack.table)
    stack.lambda_.get_function(FunctionName=stack.function)
    stack.sqs.get_queue_attributes(QueueUrl=stack.dead_letter_queue_url)
    told: dict[str, Any] = dict(stack.s3.get_bucket_notification_configuration(Bucket=stack.uploads_bucket))
    queue = stack.sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=["All"])["Attributes"]
    mappings = stack.lambda_.list_event_source_mappings(FunctionName=stack.function)["EventSourceMappings"]
    mapped = [mapping.get("FunctionResponseTypes") for mapping in mappings]
    made = {
        "the bucket's notifications": not is_told or told.keys() & _TOLD,
        "the queue's dead-letter queue": queue.get("RedrivePolicy"),
        "the event source mapping with partial batch responses": mapped == [["ReportBatchItemFailures"]],
    }
    for what, there in made.items():
        if not there:
            raise LookupError(what)
