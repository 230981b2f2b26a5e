"""The image's locks say what pyproject.toml and constraints.txt say."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
RUNTIME, BUILD = ROOT / "infra" / "requirements.txt", ROOT / "infra" / "requirements-build.txt"


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def pins(path: Path) -> dict[tuple[str, str], Requirement]:
    """By name and marker."""
    text = path.read_text("utf-8").replace("\\\n", " ")
    lines = [re.sub(r"\s+--hash=\S+", "", line).strip() for line in text.splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {(canonicalize_name(pin.name), str(pin.marker or "")): pin for pin in found}


def left_out() -> set[str]:
    lines = (ROOT / "infra" / "container" / "without.txt").read_text("utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def unmet(wanted: list[str], path: Path) -> list[str]:
    """What a lock has no pin for, or another one."""
    locked = pins(path)
    found = []
    for requirement in map(Requirement, wanted):
        versions = [pin for (name, _), pin in locked.items() if name == canonicalize_name(requirement.name)]
        fits = all(requirement.specifier.contains(str(pin.specifier).removeprefix("==")) for pin in versions)
        if not versions or not fits:
            found.append(str(requirement))
    return found


def test_the_image_has_each_dependency_but_those_that_it_goes_without() -> None:
    wanted = project()["project"]["dependencies"]
    missing = {canonicalize_name(Requirement(text).name) for text in unmet(wanted, RUNTIME)}
    assert missing == {"awslambdaric"}  # the base image's
    assert missing <= left_out()


def test_the_image_has_nothing_that_it_goes_without() -> None:
    assert left_out()
    assert not left_out() & {name for name, _ in pins(RUNTIME)}


def test_its_build_has_what_bakes_and_what_lists() -> None:
    groups = project()["dependency-groups"]
    assert unmet(groups["bake"] + groups["image"], BUILD) == []


@pytest.mark.parametrize("path", [RUNTIME, BUILD], ids=lambda path: path.name)
def test_what_is_locked_twice_is_locked_alike(path: Path) -> None:
    tested, image = pins(ROOT / "constraints.txt"), pins(path)
    both = tested.keys() & image.keys()
    assert len(both) >= len(image) / 3
    assert {key: str(image[key].specifier) for key in both} == {key: str(tested[key].specifier) for key in both}


def test_nothing_of_the_function_is_locked_that_is_not_tested() -> None:
    assert pins(RUNTIME).keys() <= pins(ROOT / "constraints.txt").keys()


@pytest.mark.parametrize("path", [RUNTIME, BUILD], ids=lambda path: path.name)
def test_each_pin_names_its_files_by_their_hashes(path: Path) -> None:
    lines = path.read_text("utf-8").replace("\\\n", " ").splitlines()
    assert lines
    assert [line for line in lines if line and "--hash=sha256:" not in line] == []
