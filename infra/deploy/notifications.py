"""A bucket's event notifications: add or remove a stack's entries and leave all others unchanged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

Notifications = Mapping[str, Any]
Entry = Mapping[str, Any]

# Every event that can change what a GET of a key returns; the same list as in the template.
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
class StackTargets:
    """The targets of a stack for event notifications.

    Attributes:
        stack: the stack's name.
        queue: ARN of its queue.
        function: ARN of its function's alias.
    """

    stack: str
    queue: str
    function: str

    @property
    def id(self) -> str:
        """The id of the entries that `deploy` adds."""
        return f"dropvec-{self.stack}"

    def target(self, trigger: str) -> str:
        """Where a bucket sends events with this trigger."""
        return {"queue": self.queue, "direct": self.function}.get(trigger, "EventBridge")

    def includes(self, entry: Entry) -> bool:
        """Whether an entry sends to this stack, whether or not `deploy` added it."""
        return entry.get("Id") == self.id or _target(entry) in {self.queue, self.function, self._unqualified}

    @property
    def _unqualified(self) -> str:
        """ARN of the function, which is the target of entries that were added before the function had an alias."""
        return ":".join(self.function.split(":")[:7])


def with_stack(current: Notifications, targets: StackTargets, parameters: Mapping[str, str]) -> Notifications:
    """Add a stack's entry. It replaces the entry that `deploy` added before, and entries that would send events twice.

    S3 rejects two entries for the same event and key.

    Args:
        current: S3's response to GetBucketNotificationConfiguration.
        targets: the stack's targets.
        parameters: the stack's parameters.
    """

    def is_replaced(entry: Entry) -> bool:
        return entry.get("Id") == targets.id or (targets.includes(entry) and _overlaps(entry, parameters))

    kept = _without(current, is_replaced)
    if parameters["Trigger"] == "eventbridge":
        return {**kept, _EVENTBRIDGE: {}}
    kind = "LambdaFunction" if parameters["Trigger"] == "direct" else "Queue"
    name, target = f"{kind}Configurations", {f"{kind}Arn": targets.target(parameters["Trigger"])}
    rules = [{"Name": "prefix", "Value": parameters["KeyPrefix"]}, {"Name": "suffix", "Value": parameters["KeySuffix"]}]
    ours: dict[str, Any] = {"Id": targets.id, **target, "Events": list(EVENTS)}
    if given := [rule for rule in rules if rule["Value"]]:
        ours["Filter"] = {"Key": {"FilterRules": given}}
    return {**kept, name: [*kept.get(name, []), ours]}


def without_stack(current: Notifications, targets: StackTargets) -> Notifications:
    """Remove a stack's entries. EventBridge stays on: other rules may use it, and unused it costs nothing."""
    return _without(current, targets.includes)


def _without(current: Notifications, is_removed: Callable[[Entry], bool]) -> Notifications:
    kept: dict[str, Any] = {_EVENTBRIDGE: current[_EVENTBRIDGE]} if _EVENTBRIDGE in current else {}
    for name in _LISTS:
        if others := [entry for entry in current.get(name, []) if not is_removed(entry)]:
            kept[name] = others
    return kept


def _overlaps(entry: Entry, parameters: Mapping[str, str]) -> bool:
    """Whether an entry matches an event and a key that the stack's own entry matches, too."""
    prefix, suffix = _filters(entry)
    our_prefix, our_suffix = parameters["KeyPrefix"], parameters["KeySuffix"]
    return (
        (prefix.startswith(our_prefix) or our_prefix.startswith(prefix))
        and (suffix.endswith(our_suffix) or our_suffix.endswith(suffix))
        and any(fnmatchcase(one, ours) or fnmatchcase(ours, one) for one in entry["Events"] for ours in EVENTS)
    )


def difference(before: Notifications, after: Notifications) -> list[str]:
    """Removed (-) and added (+) notifications as lines of text; empty if both configurations mean the same."""
    old, new = _lines(before), _lines(after)
    return [*(f"- {line}" for line in sorted(old - new)), *(f"+ {line}" for line in sorted(new - old))]


def _lines(notifications: Notifications) -> set[str]:
    entries = [entry for name in _LISTS for entry in notifications.get(name, [])]
    lines = {f"{event} of {'*'.join(_filters(one))} -> {_target(one)}" for one in entries for event in one["Events"]}
    return lines | ({"all events of * -> EventBridge"} if _EVENTBRIDGE in notifications else set())


def removes_others(before: Notifications, after: Notifications, targets: StackTargets) -> bool:
    """Whether a change removes entries that `deploy` did not add."""
    entries = [(name, entry) for name in _LISTS for entry in before.get(name, [])]
    return any(entry.get("Id") != targets.id and entry not in after.get(name, []) for name, entry in entries)


def _target(entry: Entry) -> str:
    arn: str = next(entry[name] for name in _TARGETS if name in entry)
    return arn


def _filters(entry: Entry) -> tuple[str, str]:
    """Prefix and suffix of an entry's keys."""
    rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    filters = {rule["Name"].lower(): rule["Value"] for rule in rules}  # S3 returns `Prefix` for `prefix`
    return filters.get("prefix", ""), filters.get("suffix", "")


def read(s3: "S3Client", bucket: str) -> Notifications:
    """A bucket's current notifications."""
    answer: dict[str, Any] = dict(s3.get_bucket_notification_configuration(Bucket=bucket))
    return {name: answer[name] for name in (*_LISTS, _EVENTBRIDGE) if name in answer}


def write(s3: "S3Client", bucket: str, notifications: Notifications, *, validate: bool = True) -> None:
    """Replace all notifications of a bucket.

    Args:
        s3: S3 client.
        bucket: the bucket's name.
        notifications: the complete configuration.
        validate: whether S3 checks that every target exists and permits S3 to send to it.
    """
    configuration: Any = dict(notifications)
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=configuration, SkipDestinationValidation=not validate
    )
