import json
from typing import Any

import pytest

from infra.local.package import ENTRY_POINT
from infra.local.paths import TEMPLATE
from infra.local.template import Template, ZipCode, load, with_zip_functions

CODE = ZipCode("artifacts", "function.zip", ENTRY_POINT)


@pytest.fixture(scope="module")
def template() -> Template:
    return load(TEMPLATE)


def of_type(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    found = {name: resource for name, resource in template["Resources"].items() if resource["Type"] == kind}
    assert found
    return found


def statements(template: Template) -> list[dict[str, Any]]:
    (role,) = of_type(template, "AWS::IAM::Role").values()
    return [
        statement for policy in role["Properties"]["Policies"] for statement in policy["PolicyDocument"]["Statement"]
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!Ref Name", {"Ref": "Name"}),
        ("!GetAtt Queue.Arn", {"Fn::GetAtt": ["Queue", "Arn"]}),
        ("!GetAtt Nested.Outputs.Arn", {"Fn::GetAtt": ["Nested", "Outputs.Arn"]}),
        ("!GetAtt [Queue, Arn]", {"Fn::GetAtt": ["Queue", "Arn"]}),
        ('!Sub "${A}-b"', {"Fn::Sub": "${A}-b"}),
        ('!Sub ["${A}", {A: !Ref B}]', {"Fn::Sub": ["${A}", {"A": {"Ref": "B"}}]}),
        ("!If [IsSet, !Ref A, !Ref B]", {"Fn::If": ["IsSet", {"Ref": "A"}, {"Ref": "B"}]}),
        ("!Condition IsSet", {"Condition": "IsSet"}),
        ("!FindInMap [M, !Ref T, S]", {"Fn::FindInMap": ["M", {"Ref": "T"}, "S"]}),
        ("!Transform {Name: X}", {"Fn::Transform": {"Name": "X"}}),
    ],
)
def test_short_tags_become_long_forms(tmp_path: Any, text: str, expected: object) -> None:
    (tmp_path / "t.yaml").write_text(f"value: {text}\n")
    assert load(tmp_path / "t.yaml") == {"value": expected}


def test_only_the_packaging_of_the_function_is_swapped(template: Template) -> None:
    before = json.dumps(template)
    swapped, names = with_zip_functions(template, CODE)
    assert json.dumps(template) == before
    assert names == ["Function"]
    assert {k: v for k, v in swapped.items() if k != "Resources"} == {
        k: v for k, v in template.items() if k != "Resources"
    }
    assert swapped["Resources"].keys() == template["Resources"].keys()
    assert [name for name, resource in swapped["Resources"].items() if resource != template["Resources"][name]] == names
    old, new = (one["Resources"]["Function"]["Properties"] for one in (template, swapped))
    assert {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)} == {
        "PackageType",
        "ImageUri",
        "Runtime",
        "Handler",
        "CodeUri",
    }
    assert new["CodeUri"] == {"Bucket": "artifacts", "Key": "function.zip"}


def test_a_function_that_is_a_zip_already_stays() -> None:
    resource = {"Type": "AWS::Serverless::Function", "Properties": {"Runtime": "python3.13"}}
    template = {"Resources": {"Other": resource}}
    assert with_zip_functions(template, CODE) == (template, [])


def test_no_yaml_aliases(template: Template) -> None:
    # CloudFormation takes none; they parse here, so only the text shows them.
    from yaml import AliasToken, scan

    assert not [token for token in scan(TEMPLATE.read_text()) if isinstance(token, AliasToken)]


def test_messages_stay_invisible_for_six_timeouts(template: Template) -> None:
    timeouts = template["Parameters"]["Timeout"]["AllowedValues"]
    seconds = template["Mappings"]["VisibilityTimeout"]
    assert {timeout: seconds[str(timeout)]["Seconds"] for timeout in timeouts} == {t: 6 * t for t in timeouts}
    assert len(seconds) == len(timeouts)


def test_the_role_has_no_wildcards(template: Template) -> None:
    for statement in statements(template):
        actions = statement["Action"]
        assert not [action for action in ([actions] if isinstance(actions, str) else actions) if "*" in action]
        resources = statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            # Named after a resource of the stack, at most with all that is in it.
            text = resource.get("Fn::Sub", "")
            assert "Fn::GetAtt" in resource or text in {"${UploadsBucket.Arn}/*", "${ResultsBucket.Arn}/*"}


def test_the_function_may_not_write_uploads(template: Template) -> None:
    on_uploads = [one["Action"] for one in statements(template) if "UploadsBucket" in json.dumps(one["Resource"])]
    assert on_uploads == ["s3:GetObject", "s3:ListBucket"]


def test_buckets_and_queues_are_private_and_kept(template: Template) -> None:
    buckets, queues = of_type(template, "AWS::S3::Bucket"), of_type(template, "AWS::SQS::Queue")
    for bucket in buckets.values():
        assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
        assert "BucketEncryption" in bucket["Properties"]
    for queue in queues.values():
        assert queue["Properties"]["SqsManagedSseEnabled"] is True
    for kept in [*buckets.values(), *of_type(template, "AWS::DynamoDB::Table").values()]:
        assert kept["DeletionPolicy"] == kept["UpdateReplacePolicy"] == "Retain"
    policies = [
        *of_type(template, "AWS::S3::BucketPolicy").values(),
        *of_type(template, "AWS::SQS::QueuePolicy").values(),
    ]
    assert len(policies) == len(buckets) + len(queues)
    for policy in policies:
        denied = [one for one in policy["Properties"]["PolicyDocument"]["Statement"] if one["Effect"] == "Deny"]
        assert [one["Condition"] for one in denied] == [{"Bool": {"aws:SecureTransport": "false"}}]
