import copy
import json
import re
from typing import Any

import pytest

from handler.settings import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS
from infra.common.paths import TEMPLATE
from infra.common.template import Template, ZipCode, load, with_zip_functions
from infra.deploy.template_body import INLINE_LIMIT, template_body
from infra.local.package import ENTRY_POINT

CODE = ZipCode("artifacts", "function.zip", ENTRY_POINT)


@pytest.fixture(scope="module")
def template() -> Template:
    return load(TEMPLATE)


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


def test_only_the_packaging_of_the_functions_is_swapped(template: Template) -> None:
    before = json.dumps(template)
    swapped, names = with_zip_functions(template, CODE)
    assert json.dumps(template) == before
    assert names == ["Function", "Indexer", "ApiFunction"]
    assert {k: v for k, v in swapped.items() if k != "Resources"} == {
        k: v for k, v in template.items() if k != "Resources"
    }
    assert swapped["Resources"].keys() == template["Resources"].keys()
    assert [name for name, resource in swapped["Resources"].items() if resource != template["Resources"][name]] == names
    for name in names:
        old, new = (one["Resources"][name]["Properties"] for one in (template, swapped))
        assert {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)} - {"ImageConfig"} == {
            "PackageType",
            "ImageUri",
            "Runtime",
            "Handler",
            "CodeUri",
        }
        assert new["CodeUri"] == {"Bucket": "artifacts", "Key": "function.zip"}
        assert "ImageConfig" not in new
    assert {name: swapped["Resources"][name]["Properties"]["Handler"] for name in names} == {
        "Function": "handler.app.handler",
        "Indexer": "handler.index.app.handler",
        "ApiFunction": "handler.api.app.handler",
    }


def test_the_default_image_limits_are_the_handler_s(template: Template) -> None:
    defaults = {name: one.get("Default") for name, one in template["Parameters"].items()}
    limits = defaults["MaxImageBytes"], defaults["MaxImagePixels"]
    assert limits == (str(MAX_IMAGE_BYTES), str(MAX_IMAGE_PIXELS))


def test_a_zip_function_is_not_changed() -> None:
    resource = {"Type": "AWS::Serverless::Function", "Properties": {"Runtime": "python3.13"}}
    template = {"Resources": {"Other": resource}}
    assert with_zip_functions(template, CODE) == (template, [])


def test_no_yaml_aliases(template: Template) -> None:
    # CloudFormation rejects aliases. PyYAML resolves them, so the test scans the text.
    from yaml import AliasToken, scan

    assert not [token for token in scan(TEMPLATE.read_text()) if isinstance(token, AliasToken)]


def test_the_template_fits_into_a_request_as_cloudformation_receives_it(template: Template) -> None:
    body = template_body()
    sent, wanted = json.loads(body), copy.deepcopy(template)
    del wanted["Metadata"]
    dashboards = [one["Resources"].pop("Dashboard") for one in (sent, wanted)]
    assert sent == wanted
    short, long = (re.sub(r"\\n| ", "", json.dumps(one)) for one in dashboards)
    assert short == long
    assert "Time per image (p90, ms)" in body
    assert "\\n" not in body
    assert body.isascii()
    assert len(body) <= INLINE_LIMIT == 51_200
