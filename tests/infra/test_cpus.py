"""The program that `make cpus` runs on emulated CPUs, run on this CPU."""

import copy
import json
import subprocess
import sys
from typing import Any

import pytest

from infra.bake import bake
from infra.bake.bundle import Options
from infra.common.paths import ROOT
from tests.cpus.__main__ import errors

OTHER = {"blocks-16": "blocks-8", "blocks-8": "blocks-16"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    bundle = bake("efficientnet-lite0", tmp_path_factory.mktemp("cpus") / "model", Options(progress=False))
    command = [sys.executable, "-m", "tests.cpus.guest", str(bundle)]
    found: dict[str, Any] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return found


def test_this_cpu_has_no_faults(report: dict[str, Any]) -> None:
    assert errors(report, report["check"]["graph"]) == []


def test_expecting_the_other_graph_gives_every_error(report: dict[str, Any]) -> None:
    chosen = report["check"]["graph"]
    text = " ".join(errors(report, OTHER[chosen]))
    for what in ("the CPU has", "the check should", f"{chosen} should have been wrong", f"{OTHER[chosen]} should"):
        assert what in text


def test_a_wrong_model_is_an_error(report: dict[str, Any]) -> None:
    wrong = copy.deepcopy(report)
    wrong["graphs"]["portable"] = 0.99
    (text,) = errors(wrong, report["check"]["graph"])
    assert "portable" in text


def test_a_failed_machine_is_an_error() -> None:
    assert errors({"failed": "no /proc"}, "blocks-8") == ["no /proc"]
