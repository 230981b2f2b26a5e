"""An existing bucket's notifications: dropvec's part comes and goes, and the others stay as they are."""

from typing import Any

import pytest

from infra.deploy.notifications import EVENTS, with_stack, without_stack
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
OUTPUTS = {"EventTarget": "arn:target"}


def parameters(trigger: str, prefix: str = "", suffix: str = "") -> dict[str, str]:
    return {"Trigger": trigger, "KeyPrefix": prefix, "KeySuffix": suffix}


def test_the_queue_is_added_to_the_others() -> None:
    made = with_stack(OTHERS, "mine", OUTPUTS, parameters("queue", suffix=".jpg"))
    assert {**made, "QueueConfigurations": made["QueueConfigurations"][:-1]} == OTHERS
    assert made["QueueConfigurations"][-1] == {
        "Id": "dropvec-mine",
        "QueueArn": "arn:target",
        "Events": list(EVENTS),
        "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".jpg"}]}},
    }


def test_the_function_is_added_where_there_is_nothing() -> None:
    wanted = {"Id": "dropvec-mine", "LambdaFunctionArn": "arn:target", "Events": list(EVENTS)}
    assert with_stack({}, "mine", OUTPUTS, parameters("direct")) == {"LambdaFunctionConfigurations": [wanted]}


def test_eventbridge_is_turned_on_beside_the_others() -> None:
    others = {name: one for name, one in OTHERS.items() if name != "EventBridgeConfiguration"}
    assert with_stack(others, "mine", OUTPUTS, parameters("eventbridge")) == OTHERS


@pytest.mark.parametrize("there", [{}, OTHERS])
@pytest.mark.parametrize("before", ["queue", "direct", "eventbridge"])
@pytest.mark.parametrize("after", ["queue", "direct", "eventbridge"])
def test_another_trigger_takes_the_place_of_the_one_before(there: dict[str, Any], before: str, after: str) -> None:
    once = with_stack(there, "mine", OUTPUTS, parameters(before))
    twice = with_stack(once, "mine", OUTPUTS, parameters(after, prefix="in/"))
    expected = with_stack(there, "mine", OUTPUTS, parameters(after, prefix="in/"))
    assert {**twice, "EventBridgeConfiguration": {}} == {**expected, "EventBridgeConfiguration": {}}
    assert {**without_stack(twice, "mine"), "EventBridgeConfiguration": {}} == {**there, "EventBridgeConfiguration": {}}


def test_its_events_are_those_of_the_template() -> None:
    told = load(TEMPLATE)["Resources"]["UploadsBucket"]["Properties"]["NotificationConfiguration"]
    for kind in ("QueueConfigurations", "LambdaConfigurations"):
        assert [one["Event"] for one in told[kind]["Fn::If"][1]] == list(EVENTS)
