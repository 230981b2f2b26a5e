"""A licence whose hash the manifest does not pin is accepted before anything large is downloaded."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.bake import Options, bake
from infra.cli.main import main
from infra.common.errors import OperatorError
from infra.common.paths import MANIFESTS
from tests.support.file_server import FileServer
from tests.support.onnx_models import encoder, save

TEXT = "Apple\n\nFor research purposes only.\n" + "\n".join(f"Paragraph {number}." for number in range(20))
SHA256 = hashlib.sha256(TEXT.encode()).hexdigest()


@pytest.fixture
def server(tmp_path: Path, no_proxies: None) -> Iterator[FileServer]:
    save(encoder(), tmp_path / "vision.onnx")
    files = {"/hub/r1/LICENSE": TEXT.encode(), "/hub/r1/vision.onnx": (tmp_path / "vision.onnx").read_bytes()}
    with FileServer(files) as running:
        yield running


@pytest.fixture
def manifest(tmp_path: Path, server: FileServer) -> Path:
    """MobileCLIP-S2's manifest without its text tower, whose files are on this machine."""
    text = (MANIFESTS / "mobileclip-s2.toml").read_text("utf-8")
    text = re.sub(r'base = ".*"', f'base = "{server.url}/hub/r1"', text)
    text = re.sub(r"\[text\].*?(?=\[licence\])", "", text, flags=re.DOTALL)
    text = re.sub(r'sha256 = ".*"\nbytes = .*', "", text).replace("onnx/vision_model.onnx", "vision.onnx")
    path = tmp_path / "own.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The arguments that a container engine gets, one in a line."""
    folder, seen = tmp_path / "programs", tmp_path / "seen"
    folder.mkdir()
    script = f'case "$1" in info) exit 0 ;; esac\nfor word in "$@"; do echo "$word" >> {seen}; done'
    (folder / "buildah").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "buildah").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return seen


def answer(monkeypatch: pytest.MonkeyPatch, text: str | None) -> list[str]:
    """Answer the question; None is a closed standard input."""
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        if text is None:
            raise EOFError
        return text

    monkeypatch.setattr("builtins.input", ask)
    return asked


@pytest.mark.parametrize("text", ["n", "", None])
def test_without_acceptance_nothing_is_built(
    manifest: Path, server: FileServer, engine: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        asked = answer(patch, text)
        assert main(["image", str(manifest)]) == 2
    out, err = capsys.readouterr()
    assert asked == ["Do you accept this licence? [y/N] "]
    assert "not for commercial products" in out
    assert "  | For research purposes only.\n" in out
    assert "  | … 10 more lines: http://127.0.0.1:" in out
    assert err.count("\n") == 1
    assert f"--accept {SHA256}" in err
    assert not engine.exists()
    assert [one.path for one in server.asked] == ["/hub/r1/LICENSE"]


def test_an_accepted_licence_is_passed_to_the_build(
    manifest: Path, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, "y")
    assert main(["image", str(manifest), "--no-text"]) == 0
    assert f"BAKE_OPTIONS=--no-text --accept {SHA256}" in engine.read_text().splitlines()


def test_the_licence_is_not_asked_for_when_its_hash_is_given(
    manifest: Path, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answer(monkeypatch, "n")
    assert main(["image", str(manifest), "--accept", SHA256.upper()]) == 0
    assert asked == []
    assert f"BAKE_OPTIONS=--accept {SHA256}" in engine.read_text().splitlines()


def test_a_mirror_is_asked_for_the_licence(
    manifest: Path, server: FileServer, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, "y")
    manifest.write_text(manifest.read_text().replace(server.url, "https://models.invalid"))
    assert main(["image", str(manifest), "--mirror", server.url]) == 0
    assert [one.path for one in server.asked] == ["/hub/r1/LICENSE"]


@pytest.mark.usefixtures("engine", "no_proxies")
@pytest.mark.parametrize(
    ("base", "text"), [("http://127.0.0.1:9/hub", "could not be downloaded from"), ("ftp://host/hub", "is not valid")]
)
def test_a_licence_that_cannot_be_downloaded_is_one_line(
    manifest: Path, server: FileServer, capsys: pytest.CaptureFixture[str], base: str, text: str
) -> None:
    manifest.write_text(manifest.read_text().replace(f"{server.url}/hub/r1", base))
    assert main(["image", str(manifest)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert text in err


@pytest.mark.usefixtures("engine")
def test_a_pinned_licence_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer(monkeypatch, "n")
    for name in ("efficientnet-lite0", "dinov2-small", "clip-vit-b-32"):
        assert main(["image", name]) == 0
    assert asked == []


def test_a_bake_downloads_the_licence_first(manifest: Path, server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=f"LICENSE has sha256 {SHA256}.*--accept {SHA256}"):
        bake(str(manifest), tmp_path / "out", Options(progress=False, cache=tmp_path / "cache"))
    assert [one.path for one in server.asked] == ["/hub/r1/LICENSE"]
