"""Event notifications of an existing bucket: a stack's entries are added and removed, other entries stay."""

import copy
from typing import Any

import pytest

from infra.common.paths import TEMPLATE
from infra.common.template import load
from infra.deploy.notifications import (
    EVENTS,
    Notifications,
    StackTargets,
    difference,
    removes_others,
    with_stack,
    without_stack,
)

OTHERS: dict[str, Any] = {
    "TopicConfigurations": [{"Id": "news", "TopicArn": "arn:topic", "Events": ["s3:ObjectCreated:*"]}],
    "QueueConfigurations": [
        {
            "Id": "thumbnails",
            "QueueArn": "arn:thumbnails",
            "Events": ["s3:ObjectCreated:*"],
            "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": "raw/"}]}},
        },
        {"Id": "dropvec-other", "QueueArn": "arn:other", "Events": ["s3:ObjectRemoved:*"]},
    ],
    "EventBridgeConfiguration": {},
}
MINE = StackTargets("mine", queue="arn:queue", function="arn:function")


def parameters(trigger: str, prefix: str = "", suffix: str = "") -> dict[str, str]:
    return {"Trigger": trigger, "KeyPrefix": prefix, "KeySuffix": suffix}


def is_connected(current: Notifications, wanted: dict[str, str]) -> bool:
    return not difference(current, with_stack(current, MINE, wanted))


def test_the_queue_is_added_to_other_entries() -> None:
    after = with_stack(OTHERS, MINE, parameters("queue", suffix=".jpg"))
    assert {**after, "QueueConfigurations": after["QueueConfigurations"][:-1]} == OTHERS
    assert after["QueueConfigurations"][-1] == {
        "Id": "dropvec-mine",
        "QueueArn": "arn:queue",
        "Events": list(EVENTS),
        "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".jpg"}]}},
    }


def test_the_function_is_added_to_an_empty_configuration() -> None:
    wanted = {"Id": "dropvec-mine", "LambdaFunctionArn": "arn:function", "Events": list(EVENTS)}
    assert with_stack({}, MINE, parameters("direct")) == {"LambdaFunctionConfigurations": [wanted]}


def test_eventbridge_is_turned_on_and_other_entries_stay() -> None:
    others = {name: one for name, one in OTHERS.items() if name != "EventBridgeConfiguration"}
    assert with_stack(others, MINE, parameters("eventbridge")) == OTHERS


@pytest.mark.parametrize("others", [{}, OTHERS])
@pytest.mark.parametrize("before", ["queue", "direct", "eventbridge"])
@pytest.mark.parametrize("after", ["queue", "direct", "eventbridge"])
def test_a_new_trigger_replaces_the_previous_one(others: dict[str, Any], before: str, after: str) -> None:
    once = with_stack(others, MINE, parameters(before))
    twice = with_stack(once, MINE, parameters(after, prefix="in/"))
    expected = with_stack(others, MINE, parameters(after, prefix="in/"))
    assert {**twice, "EventBridgeConfiguration": {}} == {**expected, "EventBridgeConfiguration": {}}
    assert {**without_stack(twice, MINE), "EventBridgeConfiguration": {}} == {**others, "EventBridgeConfiguration": {}}


@pytest.mark.parametrize(
    ("kind", "target"),
    [("Queue", {"QueueArn": "arn:queue"}), ("LambdaFunction", {"LambdaFunctionArn": "arn:function"})],
)
def test_entries_are_recognised_by_their_target(kind: str, target: dict[str, str]) -> None:
    name = f"{kind}Configurations"
    added_manually = {"Id": "0a1b", **target, "Events": ["s3:ObjectCreated:*"]}
    current = {**OTHERS, name: [added_manually, *OTHERS.get(name, [])]}
    assert without_stack(current, MINE) == OTHERS


def as_s3_returns_it(notifications: Notifications) -> dict[str, Any]:
    """The same configuration with another order of entries and filters, and with both filters, capitalised."""
    answer: dict[str, Any] = copy.deepcopy(dict(notifications))
    for name, entries in answer.items():
        if name != "EventBridgeConfiguration":
            entries.reverse()
        for entry in entries:
            rules = {
                rule["Name"]: rule["Value"] for rule in entry.get("Filter", {}).get("Key", {}).get("FilterRules", [])
            }
            again = [{"Name": name.capitalize(), "Value": rules.get(name, "")} for name in ("suffix", "prefix")]
            entry["Filter"] = {"Key": {"FilterRules": again}}
            entry["Events"] = entry["Events"][::-1]
    return answer


def one_entry_per_event(notifications: Notifications) -> dict[str, Any]:
    """The same configuration as an owner may create it: an entry for each event, with ids that S3 generates."""
    return {
        name: [{**one, "Id": f"{one['Id']}-{event}", "Events": [event]} for one in entries for event in one["Events"]]
        if name != "EventBridgeConfiguration"
        else entries
        for name, entries in notifications.items()
    }


@pytest.mark.parametrize("others", [{}, OTHERS])
@pytest.mark.parametrize("trigger", ["queue", "direct", "eventbridge"])
@pytest.mark.parametrize("rewrite", [dict, as_s3_returns_it, one_entry_per_event])
def test_an_equivalent_configuration_is_not_changed(others: dict[str, Any], trigger: str, rewrite: Any) -> None:
    wanted = parameters(trigger, "in/", ".jpg")
    current = rewrite(with_stack(others, MINE, wanted))
    assert is_connected(current, wanted)
    assert is_connected({**current, "TopicConfigurations": []}, wanted)


@pytest.mark.parametrize("others", [{}, OTHERS])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (parameters("queue"), parameters("direct")),
        (parameters("direct"), parameters("eventbridge")),
        (parameters("queue", "in/"), parameters("queue")),
        (parameters("queue", "in/"), parameters("queue", suffix="in/")),
        (parameters("direct", suffix=".jpg"), parameters("direct", suffix=".JPG")),
    ],
)
def test_a_configuration_for_other_parameters_is_changed(
    others: dict[str, Any], before: dict[str, str], after: dict[str, str]
) -> None:
    assert not is_connected(with_stack(others, MINE, before), after)
    assert is_connected(with_stack(others, MINE, after), after)


def test_an_incomplete_configuration_is_completed() -> None:
    incomplete = one_entry_per_event(with_stack(OTHERS, MINE, parameters("queue")))
    del incomplete["QueueConfigurations"][-1]
    assert not is_connected(incomplete, parameters("queue"))


def to_queue(name: str, event: str, suffix: str = "") -> dict[str, Any]:
    """An entry for the stack's queue that `deploy` did not add."""
    rules = [{"Name": "Suffix", "Value": suffix}]
    return {"Id": name, "QueueArn": MINE.queue, "Events": [event], "Filter": {"Key": {"FilterRules": rules}}}


@pytest.mark.parametrize(
    ("trigger", "suffix", "entry", "is_removed"),
    [
        ("queue", ".jpg", to_queue("a", "s3:ObjectCreated:*", ".png"), False),
        ("queue", ".jpg", to_queue("a", "s3:ObjectCreated:*", ".jpg"), True),
        ("queue", ".jpg", to_queue("a", "s3:ObjectCreated:Put", ".small.jpg"), True),
        ("queue", ".small.jpg", to_queue("a", "s3:ObjectRestore:*", ".jpg"), True),
        ("queue", "", to_queue("a", "s3:ObjectCreated:*", ".png"), True),
        ("queue", "", to_queue("a", "s3:ObjectRestore:Post"), False),
        ("direct", "", to_queue("a", "s3:ObjectRemoved:Delete"), True),
        ("eventbridge", "", to_queue("a", "s3:ObjectCreated:*"), True),
        ("eventbridge", ".jpg", to_queue("a", "s3:ObjectCreated:*", ".png"), False),
    ],
)
def test_entries_of_others_are_removed_only_if_they_overlap(
    trigger: str, suffix: str, entry: dict[str, Any], is_removed: bool
) -> None:
    current = {"QueueConfigurations": [entry]}
    after = with_stack(current, MINE, parameters(trigger, suffix=suffix))
    assert (entry not in after.get("QueueConfigurations", [])) == is_removed
    assert removes_others(current, after, MINE) == is_removed


def test_entries_that_deploy_added_are_not_entries_of_others() -> None:
    before = with_stack(OTHERS, MINE, parameters("queue"))
    assert not removes_others(before, with_stack(before, MINE, parameters("direct", suffix=".jpg")), MINE)


def test_the_difference_lists_removed_and_added_notifications() -> None:
    before = with_stack(OTHERS, MINE, parameters("queue", "in/", ".jpg"))
    queue = [f"- {event} of in/*.jpg -> arn:queue" for event in sorted(EVENTS)]
    after = with_stack(before, MINE, parameters("direct"))
    assert difference(before, after) == [*queue, *(f"+ {event} of * -> arn:function" for event in sorted(EVENTS))]
    assert difference(before, with_stack(before, MINE, parameters("eventbridge"))) == queue  # EventBridge is already on
    assert difference({}, with_stack({}, MINE, parameters("eventbridge"))) == ["+ all events of * -> EventBridge"]


def test_the_events_are_those_of_the_template() -> None:
    configuration = load(TEMPLATE)["Resources"]["UploadsBucket"]["Properties"]["NotificationConfiguration"]
    for kind in ("QueueConfigurations", "LambdaConfigurations"):
        assert [one["Event"] for one in configuration[kind]["Fn::If"][1]] == list(EVENTS)
