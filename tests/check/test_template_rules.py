"""The rules for the template, with every combination of the parameters that determine its resources."""

import copy
import json
import re
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
THIRD_KEY = "arn:aws:kms:eu-west-1:123456789012:key/4e5f"
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
    "Timeout": ["60"],
    "Search": ["true", "false"],
    "Api": ["none", "iam", "token"],
}
# Independent of the others.
EARLIER = {
    "ImageUri": CHOICES["ImageUri"],
    "KmsKeyArn": ["", KEY],
    "EarlierKmsKeyArns": ["", OTHER_KEY, f"{OTHER_KEY},{THIRD_KEY}"],
    "Search": ["true", "false"],
    "Api": ["none", "token"],
}
OLD_IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/dropvec:0"
# Enough combinations for a broken template to violate its rule.
FEWER = {
    **CHOICES,
    "ExistingBucketKmsKeyArn": [OTHER_KEY],
    "AlarmTopicArn": [TOPIC],
    "ResultsRetentionDays": ["0"],
    "KeyPrefix": ["in/"],
    "Timeout": ["60"],
    "ApiImageUri": ["", OLD_IMAGE],
    "ApiConcurrency": ["20"],
    "JobRetentionDays": ["30"],
}


def combinations(template: Template, choices: dict[str, list[str]]) -> list[Resolved]:
    return [resolve(template, dict(zip(choices, values, strict=True))) for values in product(*choices.values())]


@pytest.fixture(scope="module")
def template() -> Template:
    return load(TEMPLATE)


@pytest.fixture(scope="module")
def every(template: Template) -> list[Resolved]:
    return combinations(template, CHOICES)


def violations(rule: Rule, every: list[Resolved]) -> list[str]:
    return [f"{violation} ({dict(stack.parameters)})" for stack in every for violation in rule(stack)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_template_follows_the_rule_with_any_parameters(every: list[Resolved], rule: Rule) -> None:
    assert len(every) == 1152
    assert violations(rule, every) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_template_follows_the_rule_with_earlier_keys(template: Template, rule: Rule) -> None:
    assert violations(rule, combinations(template, EARLIER)) == []


@pytest.mark.parametrize(
    ("value", "is_allowed"),
    [("", True), (KEY, True), (f"{KEY},{OTHER_KEY}", True)]
    + [(one, False) for one in (f"{KEY},", f",{KEY}", f"{KEY}{OTHER_KEY}", f"{KEY}, {OTHER_KEY}", "0a1b")],
)
def test_earlier_keys_are_arns_with_commas(template: Template, value: str, *, is_allowed: bool) -> None:
    pattern = template["Parameters"]["EarlierKmsKeyArns"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, value)) == is_allowed


@pytest.mark.parametrize("name", ["FunctionRole", "IndexerRole", "ApiRole"])
def test_a_role_without_earlier_keys_violates_the_rule(template: Template, name: str) -> None:
    broken = copy.deepcopy(template)
    statements = broken["Resources"][name]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    (found,) = [one for one in statements if "HasEarlierKeys" in one.get("Fn::If", ())]
    statements.remove(found)
    assert violations(rules.earlier_keys_only_decrypt, combinations(broken, EARLIER))


def test_permissions_and_failure_destinations_do_not_depend_on_the_trigger(every: list[Resolved]) -> None:
    by_other_parameters: dict[str, list[Any]] = {}
    for stack in every:
        others = {name: value for name, value in stack.parameters.items() if name != "Trigger"}
        kinds = ("AWS::SQS::QueuePolicy", "AWS::Lambda::Permission", "AWS::Lambda::EventInvokeConfig", "AWS::IAM::Role")
        by_other_parameters.setdefault(json.dumps(others), []).append(stack.of_type(*kinds))
    assert {len(one) for one in by_other_parameters.values()} == {3}
    assert all(one == two == three for one, two, three in by_other_parameters.values())


def test_every_allowed_timeout_has_consistent_times(template: Template) -> None:
    allowed = [str(timeout) for timeout in template["Parameters"]["Timeout"]["AllowedValues"]]
    assert list(template["Mappings"]["ByTimeout"]) == allowed
    assert max(map(int, allowed)) <= 900
    assert violations(rules.times_are_consistent, combinations(template, {"Timeout": allowed})) == []


def test_numeric_parameters_have_the_limits_of_the_services(template: Template) -> None:
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
        "ApiConcurrency": (0, 1000),
    }


def test_every_parameter_is_used_and_all_but_the_image_have_defaults(template: Template) -> None:
    parameters = template["Parameters"]
    assert [name for name, one in parameters.items() if "Default" not in one] == ["ImageUri"]
    used = json.dumps({part: template[part] for part in ("Conditions", "Resources", "Outputs")})
    assert [name for name in parameters if f'"Ref": "{name}"' not in used and f"${{{name}}}" not in used] == []
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert [name for group in groups for name in group["Parameters"]] == list(parameters)
    assert all(one["Description"] for one in parameters.values())


@pytest.mark.parametrize("search", ["true", "false"])
def test_the_dashboard_is_json(template: Template, search: str) -> None:
    stack = resolve(template, {"Search": search})
    (dashboard,) = stack.of_type("AWS::CloudWatch::Dashboard").values()
    widgets = json.loads(dashboard["DashboardBody"]["Fn::Sub"])["widgets"]
    shown = json.dumps(widgets)
    for metric in ("Images", "Rejected", "Failed", "ColdStarts", "TotalMs", "Errors", "Throttles", "Duration"):
        assert f'"{metric}"' in shown
    for metric in ("Indexed", "Unindexed", "RefusedVectors", "IteratorAge", "${Indexer}", "${ApiFunction}"):
        assert (f'"{metric}"' in shown) == (search == "true")
    assert "{dropvec,FunctionName,ErrorCode}" in shown
    positions = [(one["x"], one["y"]) for one in widgets]
    assert len(set(positions)) == len(positions)


def at(name: str, *path: str | int) -> Callable[[Template], Any]:
    """The value at a path in a resource's properties."""

    def found(template: Template) -> Any:
        part = template["Resources"][name]["Properties"]
        for step in path:
            part = part[step]
        return part

    return found


def put(name: str, *path: Any) -> Callable[[Template], None]:
    """Set the value at a path in a resource's properties; the last argument is the value."""
    *steps, key, value = path

    def change(template: Template) -> None:
        at(name, *steps)(template)[key] = value

    return change


def drop(name: str, *path: Any) -> Callable[[Template], None]:
    *steps, key = path

    def change(template: Template) -> None:
        del at(name, *steps)(template)[key]

    return change


def test_the_search_function_can_keep_an_older_image(template: Template) -> None:
    stacks = combinations(template, FEWER)
    assert {stack.parameters["ApiImageUri"] for stack in stacks} == {"", OLD_IMAGE}
    assert violations(rules.functions_run_their_commands, stacks) == []


def test_search_does_not_change_the_function(every: list[Resolved]) -> None:
    by_other_parameters: dict[str, list[Any]] = {}
    for stack in every:
        others = {name: value for name, value in stack.parameters.items() if name != "Search"}
        parts = [stack.resources[name] for name in ("Function", "FunctionRole", "FunctionLogs", "UploadsQueue")]
        by_other_parameters.setdefault(json.dumps(others), []).append(parts)
    assert {len(parts) for parts in by_other_parameters.values()} == {2}
    assert all(parts == equal[0] for equal in by_other_parameters.values() for parts in equal)


def test_results_cannot_be_written_where_failure_records_expire(template: Template) -> None:
    pattern = re.compile(template["Parameters"]["ResultsPrefix"]["AllowedPattern"])
    assert [
        bool(pattern.fullmatch(prefix)) for prefix in ("", "vectors/", "aws-vectors/", "aws/", "aws/lambda/x/")
    ] == [
        True,
        True,
        True,
        False,
        False,
    ]


def drop_bucket_policy(template: Template) -> None:
    del template["Resources"]["ResultsBucketPolicy"]


def drop_deletion_policy(template: Template) -> None:
    del template["Resources"]["Table"]["DeletionPolicy"]


def drop_retention_of_vectors(template: Template) -> None:
    del template["Resources"]["VectorBucket"]["UpdateReplacePolicy"]


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


def add_condition(condition: str, name: str) -> Callable[[Template], None]:
    def change(template: Template) -> None:
        template["Resources"][name]["Condition"] = condition

    return change


def output(name: str, value: Any) -> Callable[[Template], None]:
    """Set the value of an output."""

    def change(template: Template) -> None:
        template["Outputs"][name]["Value"] = value

    return change


def drop_dependency_on_rule(template: Template) -> None:
    del template["Resources"]["UploadsBucket"]["Metadata"]


def shorten_visibility(template: Template) -> None:
    template["Mappings"]["ByTimeout"]["60"]["VisibilitySeconds"] = 300


STATEMENT = ("Policies", 0, "PolicyDocument", "Statement")


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (rules.references_resolve, refer_to_the_bucket),
        (rules.references_resolve, put("UploadsQueuePolicy", "Queues", 0, {"Ref": "Gone"})),
        (
            rules.uploads_and_results_are_separate,
            put("FunctionRole", *STATEMENT, 0, "Action", "s3:PutObject"),
        ),
        (
            rules.uploads_and_results_are_separate,
            put("Function", "Environment", "Variables", "RESULTS_BUCKET", {"Ref": "UploadsBucket"}),
        ),
        (rules.actions_have_no_wildcards, put("FunctionRole", *STATEMENT, 3, "Action", "dynamodb:*")),
        (rules.resources_have_no_wildcards, put("FunctionRole", *STATEMENT, 3, "Resource", "*")),
        (rules.resources_have_no_wildcards, put("FunctionRole", *STATEMENT, 0, "Resource", "arn:aws:s3:::*/*")),
        (
            rules.permissions_name_one_sender,
            drop("UploadsQueuePolicy", "PolicyDocument", "Statement", 0, "Condition", "ArnEquals"),
        ),
        (rules.permissions_name_one_sender, drop("UploadsMayInvoke", "SourceAccount")),
        (rules.everything_is_encrypted, drop("DeadLetterQueue", "SqsManagedSseEnabled")),
        (rules.everything_is_encrypted, drop("Table", "SSESpecification")),
        (rules.everything_is_encrypted, drop("FunctionLogs", "KmsKeyId")),
        (rules.the_roles_may_use_the_given_keys_only, put("FunctionRole", *STATEMENT, 6, "Fn::If", 1, "Resource", "*")),
        (rules.the_roles_may_use_the_given_keys_only, drop("FunctionRole", *STATEMENT, 7)),
        (rules.tls_is_required, drop_bucket_policy),
        (rules.tls_is_required, drop("UploadsBucketPolicy", "PolicyDocument", "Statement", 0, "Resource", 1)),
        (rules.buckets_are_private, drop("UploadsBucket", "PublicAccessBlockConfiguration", "BlockPublicAcls")),
        (rules.data_is_retained, drop_deletion_policy),
        (rules.data_is_retained, drop("FunctionLogs", "RetentionInDays")),
        (rules.times_are_consistent, shorten_visibility),
        (rules.times_are_consistent, put("FailedAlarm", "EvaluationPeriods", 5)),
        (rules.alarms_notify_the_topic, put("FailedBatchesAlarm", "Dimensions", 0, "Value", {"Ref": "IndexerChanges"})),
        (rules.times_are_consistent, put("UploadsQueue", "MessageRetentionPeriod", 1209600)),
        (rules.failures_reach_the_dead_letter_queue, drop("FunctionRole", *STATEMENT, 5)),
        (rules.failures_reach_the_dead_letter_queue, add_condition("IsDirect", "FailedAliasEvents")),
        (
            rules.the_trigger_selects_one_event_path,
            put("UploadsRule", "EventPattern", "detail", "bucket", "name", ["another"]),
        ),
        (rules.all_event_paths_stay_permitted, put("UploadsMayInvoke", "SourceArn", "arn:aws:s3:::another")),
        (rules.all_event_paths_stay_permitted, add_condition("IsDirect", "UploadsMayInvoke")),
        (rules.all_event_paths_stay_permitted, put("UploadsMayInvokeAlias", "FunctionName", {"Ref": "Function"})),
        (rules.all_event_paths_stay_permitted, drop("UploadsQueuePolicy", "PolicyDocument", "Statement", 0)),
        (rules.all_event_paths_stay_permitted, drop("DeadLetterQueuePolicy", "PolicyDocument", "Statement", 0)),
        (rules.all_event_paths_stay_permitted, drop_dependency_on_rule),
        (rules.filters_are_consistent, put("FunctionRole", *STATEMENT, 0, "Resource", "arn:aws:s3:::x/*")),
        (rules.alarms_notify_the_topic, drop("WaitingAlarm", "AlarmActions")),
        (rules.the_functions_have_limits_and_tracing, drop("Function", "ReservedConcurrentExecutions")),
        (
            rules.the_functions_have_limits_and_tracing,
            put("FunctionUploads", "ScalingConfig", "MaximumConcurrency", {"Ref": "MaximumConcurrency"}),
        ),
        (rules.the_functions_have_limits_and_tracing, put("WaitingAlarm", "AlarmDescription", "MaximumConcurrency")),
        (rules.the_functions_have_limits_and_tracing, put("ApiFunction", "Tracing", "PassThrough")),
        (rules.uploads_and_results_are_separate, put("IndexerRole", *STATEMENT, 3, "Resource", "arn:aws:s3:::x/*")),
        (
            rules.resources_have_no_wildcards,
            put("ApiRole", *STATEMENT, 1, "Resource", "arn:aws:s3vectors:*:*:bucket/*"),
        ),
        (rules.the_index_is_encrypted, put("VectorBucket", "EncryptionConfiguration", {"SseType": "AES256"})),
        (rules.the_roles_may_use_the_given_keys_only, drop("ApiRole", *STATEMENT, 2)),
        (rules.data_is_retained, drop_retention_of_vectors),
        (rules.alarms_notify_the_topic, put("IndexErrorsAlarm", "Dimensions", 0, "Value", {"Ref": "Function"})),
        (rules.alarms_notify_the_topic, put("IndexDelayAlarm", "MetricName", "Duration")),
        (rules.search_exists_only_if_it_is_on, add_condition("OwnsUploads", "ApiLogs")),
        (rules.search_exists_only_if_it_is_on, put("Table", "StreamSpecification", {"StreamViewType": "KEYS_ONLY"})),
        (rules.the_indexer_follows_the_table, put("IndexerChanges", "StartingPosition", "LATEST")),
        (rules.failure_records_expire, put("ResultsBucket", "LifecycleConfiguration", "Rules", 0, "Prefix", "aws/")),
        (
            rules.failure_records_expire,
            put("IndexerRole", *STATEMENT, 3, "Resource", {"Fn::Sub": "${ResultsBucket.Arn}/*"}),
        ),
        (rules.functions_run_their_commands, put("ApiFunction", "ImageUri", {"Ref": "ImageUri"})),
        (rules.functions_run_their_commands, put("Indexer", "ImageConfig", "Command", ["handler.app.handler"])),
        (rules.functions_of_search_have_separate_rights, put("IndexerRole", *STATEMENT, 3, "Action", "s3:GetObject")),
        (rules.functions_of_search_have_separate_rights, put("ApiRole", *STATEMENT, 0, "Action", "dynamodb:PutItem")),
        (rules.the_url_is_public_only_with_a_token, put("ApiUrl", "AuthType", "NONE")),
        (rules.the_url_is_public_only_with_a_token, put("ApiUrl", "Cors", {"AllowOrigins": ["*"]})),
        (rules.the_url_is_public_only_with_a_token, add_condition("HasUrl", "AnyoneMayUseUrl")),
        (rules.the_url_is_public_only_with_a_token, drop("AnyoneMayInvokeByUrl", "InvokedViaFunctionUrl")),
        (rules.the_url_is_public_only_with_a_token, add_condition("HasUrl", "ApiToken")),
        (rules.permissions_name_one_sender, add_condition("HasSearch", "AnyoneMayInvokeByUrl")),
        (
            rules.uploads_and_results_are_separate,
            put("ApiRole", *STATEMENT, 6, "Fn::If", 1, "Action", "s3:DeleteObject"),
        ),
        (rules.the_api_needs_uploads_only_with_a_url, put("ApiRole", *STATEMENT, 5, "Fn::If", 0, "HasSearch")),
        (rules.the_api_needs_uploads_only_with_a_url, put("ApiRole", *STATEMENT, 7, "Fn::If", 0, "HasUrl")),
        (rules.filters_are_consistent, put("ApiRole", *STATEMENT, 5, "Fn::If", 1, "Resource", "arn:aws:s3:::x/*")),
        (rules.filters_are_consistent, put("ApiRole", *STATEMENT, 4, "Fn::If", 1, "Condition", {})),
        (rules.the_roles_may_use_the_given_keys_only, drop("ApiRole", *STATEMENT, 9)),
        (rules.everything_is_encrypted, drop("ApiToken", "KmsKeyId")),
        (rules.browsers_may_use_the_own_bucket_with_a_token, drop("UploadsBucket", "CorsConfiguration")),
        (rules.pictures_of_jobs_expire, drop("UploadsBucket", "LifecycleConfiguration", "Rules", 2)),
        (rules.alarms_watch_the_api_with_a_url, add_condition("HasSearch", "ApiErrorsAlarm")),
        (
            rules.alarms_watch_the_api_with_a_url,
            put("ApiThrottlesAlarm", "Dimensions", 0, "Value", {"Ref": "Function"}),
        ),
        (rules.the_functions_have_limits_and_tracing, drop("ApiFunction", "ReservedConcurrentExecutions")),
        (rules.triggers_and_callers_use_the_alias, put("IndexerAlias", "Description", {"Ref": "Model"})),
        (rules.triggers_and_callers_use_the_alias, put("FunctionUploads", "FunctionName", {"Ref": "Function"})),
        (rules.triggers_and_callers_use_the_alias, put("FailedAliasEvents", "Qualifier", "$LATEST")),
        (rules.outputs_and_notifications_name_the_alias, output("ApiName", {"Ref": "ApiFunction"})),
        (rules.outputs_and_notifications_name_the_alias, output("EventTarget", {"Ref": "Function"})),
        (
            rules.outputs_and_notifications_name_the_alias,
            put(
                "UploadsBucket",
                "NotificationConfiguration",
                "LambdaConfigurations",
                "Fn::If",
                1,
                0,
                "Function",
                {"Fn::GetAtt": ["Function", "Arn"]},
            ),
        ),
        (rules.the_url_is_public_only_with_a_token, put("ApiUrl", "Qualifier", "other")),
        (rules.the_url_is_public_only_with_a_token, put("AnyoneMayUseUrl", "FunctionName", {"Ref": "ApiFunction"})),
    ],
)
def test_a_broken_template_violates_the_rule(
    template: Template, rule: Rule, change: Callable[[Template], None]
) -> None:
    broken = copy.deepcopy(template)
    change(broken)
    assert violations(rule, combinations(broken, FEWER))
