"""An existing bucket's notifications: dropvec's part comes and goes, and the others stay as they are."""

import copy
from typing import Any

import pytest

from infra.common.paths import TEMPLATE
from infra.common.template import load
from infra.deploy.notifications import (
    EVENTS,
    Listener,
    Notifications,
    difference,
    replaces_others,
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
MINE = Listener("mine", queue="arn:queue", function="arn:function")


def parameters(trigger: str, prefix: str = "", suffix: str = "") -> dict[str, str]:
    return {"Trigger": trigger, "KeyPrefix": prefix, "KeySuffix": suffix}


def is_told(there: Notifications, wanted: dict[str, str]) -> bool:
    return not difference(there, with_stack(there, MINE, wanted))


def test_the_queue_is_added_to_the_others() -> None:
    made = with_stack(OTHERS, MINE, parameters("queue", suffix=".jpg"))
    assert {**made, "QueueConfigurations": made["QueueConfigurations"][:-1]} == OTHERS
    assert made["QueueConfigurations"][-1] == {
        "Id": "dropvec-mine",
        "QueueArn": "arn:queue",
        "Events": list(EVENTS),
        "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".jpg"}]}},
    }


def test_the_function_is_added_where_there_is_nothing() -> None:
    wanted = {"Id": "dropvec-mine", "LambdaFunctionArn": "arn:function", "Events": list(EVENTS)}
    assert with_stack({}, MINE, parameters("direct")) == {"LambdaFunctionConfigurations": [wanted]}


def test_eventbridge_is_turned_on_beside_the_others() -> None:
    others = {name: one for name, one in OTHERS.items() if name != "EventBridgeConfiguration"}
    assert with_stack(others, MINE, parameters("eventbridge")) == OTHERS


@pytest.mark.parametrize("there", [{}, OTHERS])
@pytest.mark.parametrize("before", ["queue", "direct", "eventbridge"])
@pytest.mark.parametrize("after", ["queue", "direct", "eventbridge"])
def test_another_trigger_takes_the_place_of_the_one_before(there: dict[str, Any], before: str, after: str) -> None:
    once = with_stack(there, MINE, parameters(before))
    twice = with_stack(once, MINE, parameters(after, prefix="in/"))
    expected = with_stack(there, MINE, parameters(after, prefix="in/"))
    assert {**twice, "EventBridgeConfiguration": {}} == {**expected, "EventBridgeConfiguration": {}}
    assert {**without_stack(twice, MINE), "EventBridgeConfiguration": {}} == {**there, "EventBridgeConfiguration": {}}


@pytest.mark.parametrize(
    ("kind", "target"),
    [("Queue", {"QueueArn": "arn:queue"}), ("LambdaFunction", {"LambdaFunctionArn": "arn:function"})],
)
def test_its_part_is_known_by_where_it_goes(kind: str, target: dict[str, str]) -> None:
    name = f"{kind}Configurations"
    by_hand = {"Id": "0a1b", **target, "Events": ["s3:ObjectCreated:*"]}
    there = {**OTHERS, name: [by_hand, *OTHERS.get(name, [])]}
    assert without_stack(there, MINE) == OTHERS


def as_s3_answers(notifications: Notifications) -> dict[str, Any]:
    """The same in other words: entries and filters in another order, names of filters with a capital, both given."""
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


def by_hand(notifications: Notifications) -> dict[str, Any]:
    """The same as its owner would add it: an entry for each event, under names that S3 gives."""
    return {
        name: [{**one, "Id": f"{one['Id']}-{event}", "Events": [event]} for one in entries for event in one["Events"]]
        if name != "EventBridgeConfiguration"
        else entries
        for name, entries in notifications.items()
    }


@pytest.mark.parametrize("there", [{}, OTHERS])
@pytest.mark.parametrize("trigger", ["queue", "direct", "eventbridge"])
@pytest.mark.parametrize("put", [dict, as_s3_answers, by_hand])
def test_what_it_hears_already_is_not_added_again(there: dict[str, Any], trigger: str, put: Any) -> None:
    wanted = parameters(trigger, "in/", ".jpg")
    told = put(with_stack(there, MINE, wanted))
    assert is_told(told, wanted)
    assert is_told({**told, "TopicConfigurations": []}, wanted)


@pytest.mark.parametrize("there", [{}, OTHERS])
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
def test_what_it_hears_otherwise_is_changed(
    there: dict[str, Any], before: dict[str, str], after: dict[str, str]
) -> None:
    assert not is_told(with_stack(there, MINE, before), after)
    assert is_told(with_stack(there, MINE, after), after)


def test_what_it_hears_in_part_is_completed() -> None:
    told = by_hand(with_stack(OTHERS, MINE, parameters("queue")))
    del told["QueueConfigurations"][-1]
    assert not is_told(told, parameters("queue"))


def to_queue(name: str, event: str, suffix: str = "") -> dict[str, Any]:
    """An entry that somebody added by hand."""
    rules = [{"Name": "Suffix", "Value": suffix}]
    return {"Id": name, "QueueArn": MINE.queue, "Events": [event], "Filter": {"Key": {"FilterRules": rules}}}


@pytest.mark.parametrize(
    ("trigger", "suffix", "entry", "goes"),
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
def test_what_others_added_goes_only_where_it_would_be_heard_twice(
    trigger: str, suffix: str, entry: dict[str, Any], goes: bool
) -> None:
    there = {"QueueConfigurations": [entry]}
    made = with_stack(there, MINE, parameters(trigger, suffix=suffix))
    assert (entry not in made.get("QueueConfigurations", [])) == goes
    assert replaces_others(there, made, MINE) == goes


def test_what_was_added_before_does_not_count_as_others() -> None:
    before = with_stack(OTHERS, MINE, parameters("queue"))
    assert not replaces_others(before, with_stack(before, MINE, parameters("direct", suffix=".jpg")), MINE)


def test_the_difference_is_what_is_told_no_longer_and_newly() -> None:
    before = with_stack(OTHERS, MINE, parameters("queue", "in/", ".jpg"))
    queue = [f"- {event} of in/*.jpg -> arn:queue" for event in sorted(EVENTS)]
    after = with_stack(before, MINE, parameters("direct"))
    assert difference(before, after) == [*queue, *(f"+ {event} of * -> arn:function" for event in sorted(EVENTS))]
    assert difference(before, with_stack(before, MINE, parameters("eventbridge"))) == queue  # which is on already
    assert difference({}, with_stack({}, MINE, parameters("eventbridge"))) == ["+ all events of * -> EventBridge"]


def test_its_events_are_those_of_the_template() -> None:
    told = load(TEMPLATE)["Resources"]["UploadsBucket"]["Properties"]["NotificationConfiguration"]
    for kind in ("QueueConfigurations", "LambdaConfigurations"):
        assert [one["Event"] for one in told[kind]["Fn::If"][1]] == list(EVENTS)
