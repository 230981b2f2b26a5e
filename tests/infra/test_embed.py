"""Embedding files and texts on this machine, without AWS."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handler.model.spec import load_spec
from handler.settings import MAX_IMAGE_BYTES
from infra.common.errors import OperatorError
from infra.common.paths import ROOT
from infra.offline.embed import compare, embed
from tests.support.bundles import DIM, write_tiny_bundle
from tests.support.pictures import encoded, picture
from tests.support.text_bundles import add_text
from tests.support.towers import make_tower


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write_tiny_bundle(tmp_path_factory.mktemp("models") / "texts")
    add_text(made, DIM)
    return made


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A bundle whose text tower returns NaN for "cat"."""
    made = write_tiny_bundle(tmp_path / "broken")
    tower = make_tower(dim=DIM)
    tower.tokens[2368] = np.nan
    add_text(made, DIM, tower=tower)
    return made


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(picture(64, 48)))
    return path


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_for_each_file_and_text(bundle: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    embed([photo], ["a cat"], str(bundle), normalize=True)
    found = lines(capsys)
    assert [(line["file_path"], line["status"], line["model"]) for line in found] == [
        (str(photo), "success", "tiny"),
        ("a cat", "success", "tiny"),
    ]
    spec = load_spec(bundle)
    assert spec.text is not None
    assert [line["fingerprint"] for line in found] == [spec.fingerprint] * 2
    assert [line.get("text_fingerprint") for line in found] == [None, spec.text.fingerprint]
    for line in found:
        assert np.linalg.norm(line["embedding"]["embedding"]) == pytest.approx(1, abs=1e-6)


def test_a_text_that_fails_does_not_affect_others(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OperatorError, match="1 of 2 could not be embedded"):
        embed([], ["a cat", "a dog"], str(broken), normalize=True)
    cat, dog = lines(capsys)
    assert (cat["status"], cat["error_code"], cat["embedding"]) == ("error", "internal", None)
    assert dog["status"] == "success"


def test_comparing_a_text_that_fails_is_an_error(broken: Path) -> None:
    with pytest.raises(OperatorError, match=r"text:a cat: .*NaNs"):
        compare("text:a dog", "text:a cat", str(broken))


def test_files_that_fail_have_the_function_s_error_codes(
    bundle: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, large, none = (photo.with_name(name) for name in ("empty.png", "large.png", "none.png"))
    empty.touch()
    with large.open("wb") as file:
        file.truncate(MAX_IMAGE_BYTES + 1)
    with pytest.raises(OperatorError, match="4 of 5"):
        embed([empty, photo, large, none, photo.parent], [], str(bundle), normalize=True)
    codes = ["empty_object", None, "too_many_bytes", "not_found", "not_found"]
    assert [line["error_code"] for line in lines(capsys)] == codes


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_and_texts_that_are_not_utf_8_are_embedded(bundle: Path, photo: Path, encoding: str) -> None:
    name = os.fsencode(photo.parent) + b"/\xff.png"
    Path(os.fsdecode(name)).write_bytes(photo.read_bytes())
    command: list[str | bytes | Path] = [
        sys.executable,
        "-m",
        "infra",
        "embed",
        name,
        "--text",
        b"caf\xe9",
        "--text",
        "猫",
        "--model",
        bundle,
    ]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    assert done.stderr == b""
    found = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    names = [f"{photo.parent}/\ufffd.png", "caf\ufffd", "猫"]
    assert [(line["file_path"], line["status"]) for line in found] == [(name, "success") for name in names]
