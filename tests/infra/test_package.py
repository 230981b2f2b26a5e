import io
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from infra.common.paths import HANDLER
from infra.local.package import function_zip


def unpack(data: bytes, folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(folder)
        for entry in archive.infolist():
            (folder / entry.filename).chmod(entry.external_attr >> 16)
    return folder


def test_the_zip_contains_only_the_package_and_a_bootstrap(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(function_zip(HANDLER, tmp_path))) as archive:
        names = archive.namelist()
    assert names[0] == "bootstrap"
    files = [*HANDLER.rglob("*.py"), *(HANDLER / "api" / "gallery").glob("*")]
    assert sorted(names[1:]) == sorted(f"handler/{path.relative_to(HANDLER)}" for path in files)
    assert "handler/api/gallery/index.html" in names


def test_the_zip_is_reproducible(tmp_path: Path) -> None:
    assert function_zip(HANDLER, tmp_path) == function_zip(HANDLER, tmp_path)


@pytest.mark.parametrize("given", ["", "/opt/another"])
def test_the_bootstrap_runs_the_runtime_client_with_the_bundle(tmp_path: Path, given: str) -> None:
    bundle = tmp_path / 'it\'s a "bundle" $HOME'
    python = tmp_path / "a python's home" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nprintf "%s|" "$MODEL_DIR" "$@"\n')
    python.chmod(0o755)
    folder = unpack(function_zip(HANDLER, bundle, str(python)), tmp_path / "code")
    environment = os.environ | {"MODEL_DIR": given, "_HANDLER": "handler.index.app.handler"}
    done = subprocess.run([folder / "bootstrap"], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == f"{given or bundle}|-m|awslambdaric|handler.index.app.handler|"
