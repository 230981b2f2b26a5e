import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.common.errors import OperatorError
from infra.local.images import collect, samples

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).filter(
    lambda name: not name.startswith(".") and len(name.encode()) <= 80
)
UNPRIVILEGED_ID = 65534


def put(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def keys(folder: Path) -> list[str]:
    return [upload.key for upload in collect(folder)]


@settings(deadline=None)  # the test writes files, and a disk may be slow
@given(st.sets(st.tuples(NAMES, NAMES), min_size=1, max_size=5))
def test_a_key_is_the_path_of_its_file(names: set[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for parent, name in names:
            put(folder / parent / name, f"{parent}/{name}".encode())
        found = collect(folder)
        assert {upload.key for upload in found} == {f"{parent}/{name}" for parent, name in names}
        assert all(upload.path.read_bytes().decode() == upload.key for upload in found)


def test_keys_may_contain_special_characters(tmp_path: Path) -> None:
    expected = ["a b+c.jpg", "ein/Ü 100%25.png", "日本/~$&?#'\".gif"]
    for name in expected:
        put(tmp_path / name)
    assert keys(tmp_path) == sorted(expected)


def test_hidden_files_and_non_files_are_skipped(tmp_path: Path) -> None:
    put(tmp_path / "a.jpg")
    put(tmp_path / ".DS_Store")
    put(tmp_path / ".git/b.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert keys(tmp_path) == ["a.jpg"]


def test_links_are_followed_but_not_in_cycles(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside/c.jpg")
    images = tmp_path / "images"
    put(images / "a/b.jpg")
    (images / "a/up").symlink_to(images)
    (images / "a/self").symlink_to(images / "a")
    (images / "linked").symlink_to(outside.parent)
    (images / "d.jpg").symlink_to(outside)
    assert keys(images) == ["a/b.jpg", "d.jpg", "linked/c.jpg"]


def test_the_folder_may_be_a_link(tmp_path: Path) -> None:
    put(tmp_path / "real/a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert keys(tmp_path / "link") == ["a.jpg"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", r"cannot read .*missing \(No such file"),
        ("file", r"cannot read .*file \(Not a dir"),
        ("empty", "no files in"),
    ],
)
def test_an_unusable_folder_is_an_error(tmp_path: Path, name: str, message: str) -> None:
    put(tmp_path / "file")
    (tmp_path / "empty" / ".git").mkdir(parents=True)
    with pytest.raises(OperatorError, match=message) as raised:
        collect(tmp_path / name)
    assert "--images DIR" in str(raised.value)


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A folder of an unprivileged user. Root can read every file, so as root the test switches to another user."""
    folder = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        os.seteuid(UNPRIVILEGED_ID)
    yield folder
    if is_root:
        os.seteuid(0)
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["a.jpg", "folder", ""])
def test_unreadable_files_and_folders_are_errors(own_folder: Path, name: str) -> None:
    put(own_folder / "a.jpg")
    put(own_folder / "folder/b.jpg")
    (own_folder / name).chmod(0)
    try:
        with pytest.raises(OperatorError, match="Permission denied"):
            collect(own_folder)
    finally:
        (own_folder / name).chmod(0o700)


def test_a_name_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    try:
        put(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")))
    except OSError:
        pytest.skip("this file system accepts UTF-8 names only")
    with pytest.raises(OperatorError, match=r"the file name '\\udcff.jpg' is not UTF-8"):
        collect(tmp_path)


def test_a_path_too_long_for_a_key_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "/".join(["x" * 200] * 5) / ("y" * 30))
    with pytest.raises(OperatorError, match="is 1035 bytes long, more than the 1024 of an S3 key"):
        collect(tmp_path)


def test_the_samples_are_photos() -> None:
    found = samples()
    assert len(found) >= 8
    assert {upload.path.read_bytes()[:2] for upload in found} == {b"\x89P", b"\xff\xd8"}
