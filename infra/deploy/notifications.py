"""What a bucket tells of its objects, with a stack's part put in or taken out and all else as it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
_TARGETS = ("QueueArn", "LambdaFunctionArn", "TopicArn")
_EVENTBRIDGE = "EventBridgeConfiguration"


@dataclass(frozen=True)
class Listener:
    """A stack, as buckets know it.

    Attributes:
        stack: its name.
        queue: ARN of its queue.
        function: ARN of its function.
    """

    stack: str
    queue: str
    function: str

    @property
    def id(self) -> str:
        """By what name a bucket knows what `make deploy` added."""
        return f"dropvec-{self.stack}"

    def hears(self, entry: Mapping[str, Any]) -> bool:
        """Whether one of a bucket's notifications is this stack's, whoever put it there."""
        targets = {entry.get(name) for name in _TARGETS}
        return entry.get("Id") == self.id or not targets.isdisjoint({self.queue, self.function})


def with_stack(there: Notifications, listener: Listener, parameters: Mapping[str, str]) -> Notifications:
    """Add what a stack wants to hear, in place of what it heard before.

    Args:
        there: what S3 answers to GetBucketNotificationConfiguration.
        listener: the stack.
        parameters: its parameters.
    """
    kept = without_stack(there, listener)
    if parameters["Trigger"] == "eventbridge":
        return {**kept, _EVENTBRIDGE: {}}
    name, target = "QueueConfigurations", {"QueueArn": listener.queue}
    if parameters["Trigger"] == "direct":
        name, target = "LambdaFunctionConfigurations", {"LambdaFunctionArn": listener.function}
    rules = [{"Name": "prefix", "Value": parameters["KeyPrefix"]}, {"Name": "suffix", "Value": parameters["KeySuffix"]}]
    ours: dict[str, Any] = {"Id": listener.id, **target, "Events": list(EVENTS)}
    if given := [rule for rule in rules if rule["Value"]]:
        ours["Filter"] = {"Key": {"FilterRules": given}}
    return {**kept, name: [*kept.get(name, []), ours]}


def without_stack(there: Notifications, listener: Listener) -> Notifications:
    """Take a stack's part out. EventBridge stays on: others may listen there, and to nobody it costs nothing."""
    kept: dict[str, Any] = {_EVENTBRIDGE: there[_EVENTBRIDGE]} if _EVENTBRIDGE in there else {}
    for name in _LISTS:
        if others := [one for one in there.get(name, []) if not listener.hears(one)]:
            kept[name] = others
    return kept


def is_told(there: Notifications, listener: Listener, parameters: Mapping[str, str]) -> bool:
    """Whether a stack hears already what it wants to, in whatever words and entries a bucket puts that."""
    return _heard(there, listener) == _heard(with_stack(there, listener, parameters), listener)


def _heard(there: Notifications, listener: Listener) -> tuple[bool, set[tuple[str, str, str, str]]]:
    """Whether EventBridge is on, and (target, event, prefix, suffix) of all that a stack hears."""
    ours = [one for name in _LISTS for one in there.get(name, []) if listener.hears(one)]
    return _EVENTBRIDGE in there, {heard for one in ours for heard in _spelled_out(one)}


def _spelled_out(entry: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    target = next(entry[name] for name in _TARGETS if name in entry)
    rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    filters = {rule["Name"].lower(): rule["Value"] for rule in rules}  # S3 answers `Prefix` to what was `prefix`
    for event in entry["Events"]:
        yield target, event, filters.get("prefix", ""), filters.get("suffix", "")


def read(s3: "S3Client", bucket: str) -> Notifications:
    """What a bucket tells now."""
    answer: dict[str, Any] = dict(s3.get_bucket_notification_configuration(Bucket=bucket))
    return {name: answer[name] for name in (*_LISTS, _EVENTBRIDGE) if name in answer}


def write(s3: "S3Client", bucket: str, wanted: Notifications, *, is_checked: bool = True) -> None:
    """Have a bucket tell this, and nothing else.

    Args:
        s3: a client.
        bucket: its name.
        wanted: what it is to tell.
        is_checked: whether S3 is to refuse it, unless all that are to be told are there and let S3 tell them.
    """
    configuration: Any = dict(wanted)
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=configuration, SkipDestinationValidation=not is_checked
    )
