"""The errors of `export` without its packages; `make test-export` tests it with them."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.common.errors import OperatorError
from infra.common.paths import ROOT
from infra.onnx_export import export

# Without the packages of the environment.
BARE = [
    sys.executable,
    "-S",
    "-c",
    "import sys; sys.path.insert(0, '.'); from infra.__main__ import main; sys.exit(main())",
]


def test_missing_packages_are_one_line(tmp_path: Path) -> None:
    command = [*BARE, "export", "mobileclip-s2", "--weights", "s2.pt", "--out", str(tmp_path / "s2.onnx")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("dropvec: export needs packages that are not installed (torch, ")
    assert f"{sys.executable} -m pip install --group export --constraint constraints.txt" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_an_unknown_model() -> None:
    with pytest.raises(OperatorError, match="'s3' cannot be exported; models that can: mobileclip-s0, "):
        export("s3", Path("s3.pt"), Path("s3.onnx"))
