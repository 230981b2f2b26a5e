"""The image's lock files agree with pyproject.toml and constraints.txt."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.common.paths import ROOT

RUNTIME, BUILD = ROOT / "infra" / "requirements.txt", ROOT / "infra" / "requirements-build.txt"


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def pins(path: Path) -> dict[tuple[str, str], Requirement]:
    """The pins of a lock file, by name and marker."""
    text = path.read_text("utf-8").replace("\\\n", " ")
    lines = [re.sub(r"\s+--hash=\S+", "", line).strip() for line in text.splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {(canonicalize_name(pin.name), str(pin.marker or "")): pin for pin in found}


def left_out() -> set[str]:
    lines = (ROOT / "infra" / "container" / "without.txt").read_text("utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def unmet(wanted: list[str], path: Path) -> list[str]:
    """The requirements that a lock file does not satisfy."""
    locked = pins(path)
    found = []
    for requirement in map(Requirement, wanted):
        versions = [pin for (name, _), pin in locked.items() if name == canonicalize_name(requirement.name)]
        fits = all(requirement.specifier.contains(str(pin.specifier).removeprefix("==")) for pin in versions)
        if not versions or not fits:
            found.append(str(requirement))
    return found


def test_the_image_has_each_dependency_except_those_left_out() -> None:
    wanted = project()["dependency-groups"]["function"]
    missing = {canonicalize_name(Requirement(text).name) for text in unmet(wanted, RUNTIME)}
    assert missing == {"awslambdaric"}  # in the base image
    assert missing <= left_out()


def test_the_image_has_no_dependency_that_is_left_out() -> None:
    assert left_out()
    assert not left_out() & {name for name, _ in pins(RUNTIME)}


def test_the_build_has_the_packages_to_bake_and_to_write_the_sbom() -> None:
    groups = project()["dependency-groups"]
    assert unmet(groups["bake"] + groups["image"], BUILD) == []


@pytest.mark.parametrize("path", [RUNTIME, BUILD], ids=lambda path: path.name)
def test_the_lock_files_agree_on_versions(path: Path) -> None:
    tested, image = pins(ROOT / "constraints.txt"), pins(path)
    both = tested.keys() & image.keys()
    assert len(both) >= len(image) / 3
    assert {key: str(image[key].specifier) for key in both} == {key: str(tested[key].specifier) for key in both}


def test_every_package_of_the_image_is_tested() -> None:
    assert pins(RUNTIME).keys() <= pins(ROOT / "constraints.txt").keys()


@pytest.mark.parametrize("path", [RUNTIME, BUILD], ids=lambda path: path.name)
def test_each_pin_has_hashes(path: Path) -> None:
    lines = path.read_text("utf-8").replace("\\\n", " ").splitlines()
    assert lines
    assert [line for line in lines if line and "--hash=sha256:" not in line] == []


def test_an_installed_copy_has_what_the_function_and_a_bake_need() -> None:
    table = project()
    groups = table["dependency-groups"]
    wanted = {*groups["function"], *groups["bake"]}
    runtime_client = {text for text in wanted if Requirement(text).name == "awslambdaric"}  # part of the extra `demo`
    assert runtime_client <= set(table["project"]["optional-dependencies"]["demo"])
    assert wanted - runtime_client <= set(table["project"]["dependencies"])
