"""What `make cpus` runs on emulated CPUs, on the CPU at hand."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.bake import bake
from infra.bake.bundle import Options
from tests.cpus.__main__ import faults

OTHER = {"blocks-16": "blocks-8", "blocks-8": "blocks-16"}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    bundle = bake("efficientnet-lite0", tmp_path_factory.mktemp("cpus") / "model", Options(progress=False))
    command = [sys.executable, "-m", "tests.cpus.guest", str(bundle)]
    root = Path(__file__).parents[2]
    told: dict[str, Any] = json.loads(subprocess.run(command, cwd=root, capture_output=True, check=True).stdout)
    return told


def test_this_cpu_has_no_faults(report: dict[str, Any]) -> None:
    assert faults(report, report["check"]["graph"]) == []


def test_a_cpu_that_the_other_graph_should_fit_has_every_fault(report: dict[str, Any]) -> None:
    chosen = report["check"]["graph"]
    told = " ".join(faults(report, OTHER[chosen]))
    for what in ("the CPU has", "the check should", f"{chosen} should have been wrong", f"{OTHER[chosen]} should"):
        assert what in told


def test_a_wrong_model_is_a_fault(report: dict[str, Any]) -> None:
    wrong = copy.deepcopy(report)
    wrong["graphs"]["portable"] = 0.99
    (told,) = faults(wrong, report["check"]["graph"])
    assert "portable" in told


def test_a_machine_that_failed_is_a_fault() -> None:
    assert faults({"failed": "no /proc"}, "blocks-8") == ["no /proc"]
