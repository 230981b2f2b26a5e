"""What a bucket tells of its objects, with a stack's part put in or taken out and all else as it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

Notifications = Mapping[str, Any]
Entry = Mapping[str, Any]

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

    def target(self, trigger: str) -> str:
        """Whom a bucket is to tell."""
        return {"queue": self.queue, "direct": self.function}.get(trigger, "EventBridge")

    def hears(self, entry: Entry) -> bool:
        """Whether one of a bucket's notifications is this stack's, whoever put it there."""
        return entry.get("Id") == self.id or _target(entry) in {self.queue, self.function}


def with_stack(there: Notifications, listener: Listener, parameters: Mapping[str, str]) -> Notifications:
    """Add what a stack wants to hear, in place of what was added before and of what it would hear twice.

    S3 refuses two entries for the same event and key.

    Args:
        there: what S3 answers to GetBucketNotificationConfiguration.
        listener: the stack.
        parameters: its parameters.
    """

    def goes(entry: Entry) -> bool:
        return entry.get("Id") == listener.id or (listener.hears(entry) and _overlaps(entry, parameters))

    kept = _without(there, goes)
    if parameters["Trigger"] == "eventbridge":
        return {**kept, _EVENTBRIDGE: {}}
    kind = "LambdaFunction" if parameters["Trigger"] == "direct" else "Queue"
    name, target = f"{kind}Configurations", {f"{kind}Arn": listener.target(parameters["Trigger"])}
    rules = [{"Name": "prefix", "Value": parameters["KeyPrefix"]}, {"Name": "suffix", "Value": parameters["KeySuffix"]}]
    ours: dict[str, Any] = {"Id": listener.id, **target, "Events": list(EVENTS)}
    if given := [rule for rule in rules if rule["Value"]]:
        ours["Filter"] = {"Key": {"FilterRules": given}}
    return {**kept, name: [*kept.get(name, []), ours]}


def without_stack(there: Notifications, listener: Listener) -> Notifications:
    """Take a stack's part out. EventBridge stays on: others may listen there, and to nobody it costs nothing."""
    return _without(there, listener.hears)


def _without(there: Notifications, goes: Callable[[Entry], bool]) -> Notifications:
    kept: dict[str, Any] = {_EVENTBRIDGE: there[_EVENTBRIDGE]} if _EVENTBRIDGE in there else {}
    for name in _LISTS:
        if others := [one for one in there.get(name, []) if not goes(one)]:
            kept[name] = others
    return kept


def _overlaps(entry: Entry, parameters: Mapping[str, str]) -> bool:
    """Whether an entry tells of an event and a key that a stack wants to hear of, too."""
    prefix, suffix = _filters(entry)
    one, other = parameters["KeyPrefix"], parameters["KeySuffix"]
    return (
        (prefix.startswith(one) or one.startswith(prefix))
        and (suffix.endswith(other) or other.endswith(suffix))
        and any(fnmatchcase(told, event) or fnmatchcase(event, told) for told in entry["Events"] for event in EVENTS)
    )


def difference(before: Notifications, after: Notifications) -> list[str]:
    """What is no longer told (-) and what is told newly (+), as lines for people; none where only the words differ."""
    old, new = _told(before), _told(after)
    return [*(f"- {line}" for line in sorted(old - new)), *(f"+ {line}" for line in sorted(new - old))]


def _told(notifications: Notifications) -> set[str]:
    entries = [one for name in _LISTS for one in notifications.get(name, [])]
    told = {f"{event} of {'*'.join(_filters(one))} -> {_target(one)}" for one in entries for event in one["Events"]}
    return told | ({"all events of * -> EventBridge"} if _EVENTBRIDGE in notifications else set())


def replaces_others(before: Notifications, after: Notifications, listener: Listener) -> bool:
    """Whether entries go that `make deploy` did not add."""
    entries = [(name, one) for name in _LISTS for one in before.get(name, [])]
    return any(one.get("Id") != listener.id and one not in after.get(name, []) for name, one in entries)


def _target(entry: Entry) -> str:
    arn: str = next(entry[name] for name in _TARGETS if name in entry)
    return arn


def _filters(entry: Entry) -> tuple[str, str]:
    """Prefix and suffix of the keys that an entry is for."""
    rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    filters = {rule["Name"].lower(): rule["Value"] for rule in rules}  # S3 answers `Prefix` to what was `prefix`
    return filters.get("prefix", ""), filters.get("suffix", "")


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
