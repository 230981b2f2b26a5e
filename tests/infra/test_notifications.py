"""An existing bucket's notifications: dropvec's part comes and goes, and the others stay as they are."""

import copy
from typing import Any

import pytest

from infra.deploy.notifications import EVENTS, Listener, Notifications, is_told, with_stack, without_stack
from infra.local.paths import TEMPLATE
from infra.local.template import load

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
    assert is_told(told, MINE, wanted)
    assert is_told({**told, "TopicConfigurations": []}, MINE, wanted)


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
    assert not is_told(with_stack(there, MINE, before), MINE, after)
    assert is_told(with_stack(there, MINE, after), MINE, after)


def test_what_it_hears_in_part_is_completed() -> None:
    told = by_hand(with_stack(OTHERS, MINE, parameters("queue")))
    del told["QueueConfigurations"][-1]
    assert not is_told(told, MINE, parameters("queue"))


def test_its_events_are_those_of_the_template() -> None:
    told = load(TEMPLATE)["Resources"]["UploadsBucket"]["Properties"]["NotificationConfiguration"]
    for kind in ("QueueConfigurations", "LambdaConfigurations"):
        assert [one["Event"] for one in told[kind]["Fn::If"][1]] == list(EVENTS)
