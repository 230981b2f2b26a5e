"""How uv is told to read the indexes that pip reads."""

from pathlib import Path

import pytest

from infra.common import wheels
from infra.common.errors import OperatorError
from infra.common.pip_settings import parse
from tests.support.checkouts import UV, write_wheel


def test_uv_reads_the_indexes_of_pip(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    settings = parse(
        "global.index-url='https://user:secret@one.test/simple'\n"
        "global.extra-index-url='https://two.test/simple\\nhttps://three.test/simple'\n"
        "global.find-links='/a /b'\n"
        "global.trusted-host='one.test'\n"
        f"global.cert='{tmp_path / 'ca.pem'}'\n"
        ":env:.no-index='1'\n"
    )
    assert settings.uv_environment({"PATH": "/bin"}) == {
        "PATH": "/bin",
        "UV_DEFAULT_INDEX": "https://user:secret@one.test/simple",
        "UV_INDEX": "https://two.test/simple https://three.test/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/a,/b",
        "UV_INSECURE_HOST": "one.test",
        "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
    }
    assert settings.uv_options() == ["--no-index"]


def test_what_uv_is_told_itself_takes_precedence() -> None:
    settings = parse("global.index-url='https://one.test/simple'\nglobal.extra-index-url='https://two.test/simple'\n")
    own = {"UV_INDEX_URL": "https://own.test/simple"}
    assert settings.uv_environment(own) == own
    assert settings.uv_options() == []


@pytest.fixture
def without_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An index folder, and an environment without pip, as `uv tool install` makes it."""
    monkeypatch.setattr(wheels, "pip_command", lambda: None)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PATH", str(UV.parent), prepend=":")
    return tmp_path / "index"


PINS = {"things/photo.png": "33b8b58ff4f37fd2ef4cb9d09d6b8c1f0d6db5b1ae83d45a6d2e3ec0a2d1cfe1"}


def test_uv_fetches_a_file_of_a_wheel(without_pip: Path, tmp_path: Path) -> None:
    import hashlib

    write_wheel(without_pip, "things", {"things/photo.png": b"a photo"})
    pins = {"things/photo.png": hashlib.sha256(b"a photo").hexdigest()}
    (path,) = wheels.fetch("things==1.0", pins, tmp_path / "into")
    assert path.read_bytes() == b"a photo"
    assert [entry.name for entry in (tmp_path / "into").iterdir()] == ["photo.png"]


def test_uv_finds_no_such_wheel(without_pip: Path, tmp_path: Path) -> None:
    without_pip.mkdir()
    with pytest.raises(OperatorError, match=r"could not download things==1\.0 .*uv's message: ") as raised:
        wheels.fetch("things==1.0", PINS, tmp_path / "into")
    assert "\n" not in str(raised.value)


def test_neither_pip_nor_uv(without_pip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "_find_uv", lambda: None)
    with pytest.raises(OperatorError, match="needs pip or uv to download things==1"):
        wheels.fetch("things==1.0", PINS, tmp_path / "into")
