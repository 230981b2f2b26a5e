import hashlib
import zipfile
from pathlib import Path

import pytest

from infra.common.errors import OperatorError
from infra.common.wheels import fetch

MEMBER = "things/data/photo.png"
OTHER = "things/notes.txt"
CONTENT = {MEMBER: b"a photo", OTHER: b"some notes"}
PINS = {member: hashlib.sha256(data).hexdigest() for member, data in CONTENT.items()}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is pip's only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def publish(index: Path, content: dict[str, bytes] = CONTENT) -> Path:
    wheel = index / "things-1.0-py3-none-any.whl"
    info = {
        "things-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: things\nVersion: 1.0\n",
        "things-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "things-1.0.dist-info/RECORD": b"",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in (content | info).items():
            archive.writestr(name, data)
    return wheel


def test_only_the_chosen_files_are_extracted(index: Path, tmp_path: Path) -> None:
    publish(index)
    into = tmp_path / "deep" / "into"
    assert fetch("things==1.0", PINS, into) == [into / "photo.png", into / "notes.txt"]
    assert {path.name: path.read_bytes() for path in into.iterdir()} == {
        "photo.png": b"a photo",
        "notes.txt": b"some notes",
    }


def test_existing_files_are_not_fetched_again(index: Path, tmp_path: Path) -> None:
    wheel = publish(index)
    fetch("things==1.0", PINS, tmp_path / "into")
    wheel.unlink()
    assert fetch("things==1.0", PINS, tmp_path / "into") == [tmp_path / "into/photo.png", tmp_path / "into/notes.txt"]


def test_a_damaged_file_is_fetched_again(index: Path, tmp_path: Path) -> None:
    publish(index)
    (photo, _) = fetch("things==1.0", PINS, tmp_path / "into")
    photo.write_bytes(b"half a ph")
    fetch("things==1.0", PINS, tmp_path / "into")
    assert photo.read_bytes() == b"a photo"


def test_another_file_than_the_pinned_one_is_refused(index: Path, tmp_path: Path) -> None:
    publish(index, CONTENT | {MEMBER: b"another photo"})
    with pytest.raises(OperatorError, match=r"things/data/photo\.png of .* has sha256 .*, expected") as raised:
        fetch("things==1.0", {MEMBER: PINS[MEMBER]}, tmp_path / "into")
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "into").iterdir())


def test_a_file_that_the_wheel_does_not_have(index: Path, tmp_path: Path) -> None:
    publish(index, {OTHER: CONTENT[OTHER]})
    with pytest.raises(OperatorError, match=r"has no file things/data/photo\.png"):
        fetch("things==1.0", PINS, tmp_path / "into")


def test_no_package_index(index: Path, tmp_path: Path) -> None:
    with pytest.raises(
        OperatorError, match=r"from a Python package index.*global\.index-url.*pip's message: ERROR"
    ) as raised:
        fetch("things==1.0", PINS, tmp_path / "into")
    assert "\n" not in str(raised.value)


def test_an_index_that_cannot_be_reached(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{unused_port}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(OperatorError, match="from a Python package index"):
        fetch("things==1.0", PINS, tmp_path / "into")
