"""Files and texts to vectors on this machine, without AWS."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handler.spec import load_spec
from infra.embed import compare, embed
from infra.errors import OperatorError
from tests.bundles import DIM, write_tiny_bundle
from tests.pictures import encoded, picture
from tests.text_bundles import add_text
from tests.towers import make_tower


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write_tiny_bundle(tmp_path_factory.mktemp("models") / "texts")
    add_text(made, DIM)
    return made


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A bundle whose tower makes not-a-numbers of a cat."""
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


def test_a_text_without_a_vector_is_its_own_error(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OperatorError, match="1 of 2 could not be embedded"):
        embed([], ["a cat", "a dog"], str(broken), normalize=True)
    cat, dog = lines(capsys)
    assert (cat["status"], cat["error_code"], cat["embedding"]) == ("error", "internal", None)
    assert dog["status"] == "success"


def test_what_has_no_vector_is_not_compared(broken: Path) -> None:
    with pytest.raises(OperatorError, match=r"text:a cat: .*not-a-numbers"):
        compare("text:a dog", "text:a cat", str(broken))
