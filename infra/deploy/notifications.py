"""What an existing bucket tells of its objects, with dropvec's part put in or taken out and all else as it is."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

Notifications = Mapping[str, Any]

# Everything that can change what a GET of a key returns; the same as in the template.
EVENTS = (
    "s3:ObjectCreated:*",
    "s3:ObjectRemoved:*",
    "s3:LifecycleExpiration:*",
    "s3:ObjectRestore:Completed",
)
_LISTS = ("QueueConfigurations", "LambdaFunctionConfigurations", "TopicConfigurations")
_EVENTBRIDGE = "EventBridgeConfiguration"


def notification_id(stack: str) -> str:
    """By what name a bucket knows a stack's part."""
    return f"dropvec-{stack}"


def with_stack(
    there: Notifications, stack: str, outputs: Mapping[str, str], parameters: Mapping[str, str]
) -> Notifications:
    """Add what a stack wants to hear, in place of what it wanted before.

    Args:
        there: what S3 answers to GetBucketNotificationConfiguration.
        stack: its name.
        outputs: its outputs.
        parameters: its parameters.
    """
    kept = without_stack(there, stack)
    if parameters["Trigger"] == "eventbridge":
        return {**kept, _EVENTBRIDGE: {}}
    kind, target = ("Queue", "QueueArn")
    if parameters["Trigger"] == "direct":
        kind, target = ("LambdaFunction", "LambdaFunctionArn")
    rules = [{"Name": "prefix", "Value": parameters["KeyPrefix"]}, {"Name": "suffix", "Value": parameters["KeySuffix"]}]
    ours: dict[str, Any] = {"Id": notification_id(stack), target: outputs["EventTarget"], "Events": list(EVENTS)}
    if given := [rule for rule in rules if rule["Value"]]:
        ours["Filter"] = {"Key": {"FilterRules": given}}
    name = f"{kind}Configurations"
    return {**kept, name: [*kept.get(name, []), ours]}


def without_stack(there: Notifications, stack: str) -> Notifications:
    """Take a stack's part out. EventBridge stays on: others may listen there, and to nobody it costs nothing."""
    kept: dict[str, Any] = {_EVENTBRIDGE: there[_EVENTBRIDGE]} if _EVENTBRIDGE in there else {}
    for name in _LISTS:
        if others := [one for one in there.get(name, []) if one.get("Id") != notification_id(stack)]:
            kept[name] = others
    return kept


def read(s3: "S3Client", bucket: str) -> Notifications:
    """What a bucket tells now."""
    answer: dict[str, Any] = dict(s3.get_bucket_notification_configuration(Bucket=bucket))
    return {name: answer[name] for name in (*_LISTS, _EVENTBRIDGE) if name in answer}


def write(s3: "S3Client", bucket: str, wanted: Notifications) -> None:
    """Have a bucket tell this, and nothing else."""
    configuration: Any = dict(wanted)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
