"""The template's own rules, with every combination of the parameters that decide what is made."""

import copy
import json
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from infra.common.paths import TEMPLATE
from infra.common.template import Template, load
from tests.infra import template_rules as rules
from tests.infra.resolved import Resolved, resolve
from tests.infra.template_rules import RULES, Rule

KEY = "arn:aws:kms:eu-west-1:123456789012:key/0a1b"
OTHER_KEY = "arn:aws:kms:eu-west-1:123456789012:key/2c3d"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:alarms"

CHOICES = {
    "ImageUri": ["123456789012.dkr.ecr.eu-west-1.amazonaws.com/dropvec:1"],
    "Trigger": ["queue", "direct", "eventbridge"],
    "ExistingBucket": ["", "photos"],
    "ExistingBucketKmsKeyArn": ["", OTHER_KEY],
    "KmsKeyArn": ["", KEY],
    "AlarmTopicArn": ["", TOPIC],
    "ResultsRetentionDays": ["0", "90"],
    "KeyPrefix": ["", "in/"],
    "Timeout": ["60", "900"],
}
# Enough of them for a fault to show.
FEWER = {**CHOICES, "AlarmTopicArn": [TOPIC], "ResultsRetentionDays": ["0"], "KeyPrefix": ["in/"], "Timeout": ["60"]}


def combinations(template: Template, choices: dict[str, list[str]]) -> list[Resolved]:
    return [resolve(template, dict(zip(choices, values, strict=True))) for values in product(*choices.values())]


@pytest.fixture(scope="module")
def template() -> Template:
    return load(TEMPLATE)


@pytest.fixture(scope="module")
def every(template: Template) -> list[Resolved]:
    return combinations(template, CHOICES)


def faults(rule: Rule, every: list[Resolved]) -> list[str]:
    return [f"{fault} ({dict(made.parameters)})" for made in every for fault in rule(made)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_it_keeps_the_rule_with_any_parameters(every: list[Resolved], rule: Rule) -> None:
    assert len(every) == 384
    assert faults(rule, every) == []


def test_another_trigger_changes_nothing_of_who_may_send_nor_of_where_failures_go(every: list[Resolved]) -> None:
    ways: dict[str, list[Any]] = {}
    for made in every:
        others = {name: value for name, value in made.parameters.items() if name != "Trigger"}
        kinds = ("AWS::SQS::QueuePolicy", "AWS::Lambda::Permission", "AWS::Lambda::EventInvokeConfig", "AWS::IAM::Role")
        ways.setdefault(json.dumps(others), []).append(made.of_type(*kinds))
    assert {len(one) for one in ways.values()} == {3}
    assert all(one == two == three for one, two, three in ways.values())


def test_every_timeout_fits(template: Template) -> None:
    allowed = [str(timeout) for timeout in template["Parameters"]["Timeout"]["AllowedValues"]]
    assert list(template["Mappings"]["ByTimeout"]) == allowed
    assert max(map(int, allowed)) <= 900
    assert faults(rules.times_fit_each_other, combinations(template, {"Timeout": allowed})) == []


def test_numbers_stay_within_the_services_own_limits(template: Template) -> None:
    bounds = {
        name: (one["MinValue"], one["MaxValue"])
        for name, one in template["Parameters"].items()
        if {"MinValue", "MaxValue"} <= one.keys()
    }
    assert bounds == {
        "MemorySize": (512, 10240),
        "BatchSize": (1, 10),
        "MaximumConcurrency": (2, 1000),
        "BackfillConcurrency": (2, 1000),
    }


def test_every_parameter_but_the_image_has_a_default_and_a_use(template: Template) -> None:
    parameters = template["Parameters"]
    assert [name for name, one in parameters.items() if "Default" not in one] == ["ImageUri"]
    used = json.dumps({part: template[part] for part in ("Conditions", "Resources", "Outputs")})
    assert [name for name in parameters if f'"Ref": "{name}"' not in used and f"${{{name}}}" not in used] == []
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert [name for group in groups for name in group["Parameters"]] == list(parameters)
    assert all(one["Description"] for one in parameters.values())


def test_the_dashboard_is_json(every: list[Resolved]) -> None:
    (dashboard,) = every[0].of_type("AWS::CloudWatch::Dashboard").values()
    widgets = json.loads(dashboard["DashboardBody"]["Fn::Sub"])["widgets"]
    shown = json.dumps(widgets)
    for metric in ("Images", "Rejected", "Failed", "ColdStarts", "TotalMs", "Errors", "Throttles", "Duration"):
        assert f'"{metric}"' in shown
    assert "{dropvec,FunctionName,ErrorCode}" in shown
    places = [(one["x"], one["y"]) for one in widgets]
    assert len(set(places)) == len(places)


def on(name: str, *path: str | int) -> Callable[[Template], Any]:
    """The part of a resource's properties that a path leads to."""

    def found(template: Template) -> Any:
        part = template["Resources"][name]["Properties"]
        for step in path:
            part = part[step]
        return part

    return found


def put(name: str, *path: Any) -> Callable[[Template], None]:
    """Set what a path leads to; its last step is the value."""
    *steps, key, value = path

    def change(template: Template) -> None:
        on(name, *steps)(template)[key] = value

    return change


def drop(name: str, *path: Any) -> Callable[[Template], None]:
    *steps, key = path

    def change(template: Template) -> None:
        del on(name, *steps)(template)[key]

    return change


def unguard(template: Template) -> None:
    del template["Resources"]["ResultsBucketPolicy"]


def let_go(template: Template) -> None:
    del template["Resources"]["Table"]["DeletionPolicy"]


def refer_to_the_bucket(template: Template) -> None:
    put(
        "FunctionRole",
        "Policies",
        0,
        "PolicyDocument",
        "Statement",
        2,
        "Resource",
        0,
        {"Fn::GetAtt": ["UploadsBucket", "Arn"]},
    )(template)


def only_when(condition: str, name: str) -> Callable[[Template], None]:
    def change(template: Template) -> None:
        template["Resources"][name]["Condition"] = condition

    return change


def tell_at_once(template: Template) -> None:
    del template["Resources"]["UploadsBucket"]["Metadata"]


def hurry(template: Template) -> None:
    template["Mappings"]["ByTimeout"]["60"]["VisibilitySeconds"] = 300


SCALING = ("Events", "Uploads", "Properties", "ScalingConfig")
STATEMENT = ("Policies", 0, "PolicyDocument", "Statement")


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (rules.everything_that_is_named_is_there, refer_to_the_bucket),
        (rules.everything_that_is_named_is_there, put("UploadsQueuePolicy", "Queues", 0, {"Ref": "Gone"})),
        (
            rules.results_go_elsewhere_than_uploads_come_from,
            put("FunctionRole", *STATEMENT, 0, "Action", "s3:PutObject"),
        ),
        (
            rules.results_go_elsewhere_than_uploads_come_from,
            put("Function", "Environment", "Variables", "RESULTS_BUCKET", {"Ref": "UploadsBucket"}),
        ),
        (rules.no_action_is_a_wildcard, put("FunctionRole", *STATEMENT, 3, "Action", "dynamodb:*")),
        (rules.no_resource_is_a_wildcard, put("FunctionRole", *STATEMENT, 3, "Resource", "*")),
        (rules.no_resource_is_a_wildcard, put("FunctionRole", *STATEMENT, 0, "Resource", "arn:aws:s3:::*/*")),
        (
            rules.who_may_send_is_one_sender,
            drop("UploadsQueuePolicy", "PolicyDocument", "Statement", 0, "Condition", "ArnEquals"),
        ),
        (rules.who_may_send_is_one_sender, drop("UploadsMayInvoke", "SourceAccount")),
        (rules.all_is_encrypted, drop("DeadLetterQueue", "SqsManagedSseEnabled")),
        (rules.all_is_encrypted, drop("Table", "SSESpecification")),
        (rules.all_is_encrypted, drop("FunctionLogs", "KmsKeyId")),
        (rules.keys_are_used_where_there_are_any, put("FunctionRole", *STATEMENT, 6, "Fn::If", 1, "Resource", "*")),
        (rules.keys_are_used_where_there_are_any, drop("FunctionRole", *STATEMENT, 7)),
        (rules.nothing_comes_without_tls, unguard),
        (rules.nothing_comes_without_tls, drop("UploadsBucketPolicy", "PolicyDocument", "Statement", 0, "Resource", 1)),
        (rules.nothing_is_public, drop("UploadsBucket", "PublicAccessBlockConfiguration", "BlockPublicAcls")),
        (rules.what_people_would_miss_is_kept, let_go),
        (rules.what_people_would_miss_is_kept, drop("FunctionLogs", "RetentionInDays")),
        (rules.times_fit_each_other, hurry),
        (rules.times_fit_each_other, put("UploadsQueue", "MessageRetentionPeriod", 1209600)),
        (rules.failures_are_set_aside, drop("FunctionRole", *STATEMENT, 5)),
        (rules.failures_are_set_aside, only_when("IsDirect", "FailedEvents")),
        (rules.events_come_one_way, put("UploadsRule", "EventPattern", "detail", "bucket", "name", ["another"])),
        (rules.all_ways_stay_open, put("UploadsMayInvoke", "SourceArn", "arn:aws:s3:::another")),
        (rules.all_ways_stay_open, only_when("IsDirect", "UploadsMayInvoke")),
        (rules.all_ways_stay_open, drop("UploadsQueuePolicy", "PolicyDocument", "Statement", 0)),
        (rules.all_ways_stay_open, drop("DeadLetterQueuePolicy", "PolicyDocument", "Statement", 0)),
        (rules.all_ways_stay_open, tell_at_once),
        (rules.filters_are_the_same_everywhere, put("FunctionRole", *STATEMENT, 0, "Resource", "arn:aws:s3:::x/*")),
        (rules.alarms_reach_people, drop("WaitingAlarm", "AlarmActions")),
        (rules.the_function_is_bounded_and_traced, drop("Function", "ReservedConcurrentExecutions")),
        (
            rules.the_function_is_bounded_and_traced,
            put("Function", *SCALING, "MaximumConcurrency", {"Ref": "MaximumConcurrency"}),
        ),
        (rules.the_function_is_bounded_and_traced, put("WaitingAlarm", "AlarmDescription", "MaximumConcurrency")),
    ],
)
def test_a_broken_template_breaks_the_rule(template: Template, rule: Rule, change: Callable[[Template], None]) -> None:
    broken = copy.deepcopy(template)
    change(broken)
    assert faults(rule, combinations(broken, FEWER))
