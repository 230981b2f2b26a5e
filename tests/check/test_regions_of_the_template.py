"""Which of the template's resource types a region lacks, by CloudFormation's schemas."""

import json
from importlib.util import find_spec
from pathlib import Path

from infra.common.paths import TEMPLATE
from infra.common.template import load
from tests.infra.resolved import resolve

# `deploy` asks for these before any change, and says which parameter avoids them.
CHECKED = {"AWS::S3Vectors::VectorBucket", "AWS::Lambda::Url"}


def types_of(given: dict[str, str]) -> set[str]:
    """The types of the resources that a stack with these parameters has."""
    found = {one["Type"] for one in resolve(load(TEMPLATE), given).resources.values()}
    return {one.replace("AWS::Serverless::Function", "AWS::Lambda::Function") for one in found}


def offered() -> dict[str, set[str]]:
    """The types that each region offers."""
    spec = find_spec("cfnlint")
    assert spec
    assert spec.origin
    folder = Path(spec.origin).parent / "data" / "schemas" / "providers"
    return {file.stem: set(json.loads(file.read_text())) for file in folder.glob("*-*.json")}


def test_regions_lack_only_what_deploy_checks() -> None:
    everything = types_of({"Trigger": "eventbridge", "Api": "token", "KmsKeyArn": "key"})
    missing = {region: everything - types for region, types in offered().items()}
    assert len(missing) > 40
    assert set().union(*missing.values()) == CHECKED


def test_without_search_the_stack_needs_nothing_that_a_region_lacks() -> None:
    without_url, without_search = types_of({"Api": "none"}), types_of({"Search": "false", "Trigger": "eventbridge"})
    for region, types in offered().items():
        assert without_search <= types, region
        assert without_url - types <= {"AWS::S3Vectors::VectorBucket"}, region
