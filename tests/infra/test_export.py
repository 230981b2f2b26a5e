"""What `export` says without its packages; with them it is tested by `make test-export`."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.common.errors import OperatorError
from infra.onnx_export import export

# Isolated from the packages of its environment, whatever has been installed into that.
BARE = [
    sys.executable,
    "-S",
    "-c",
    "import sys; sys.path.insert(0, '.'); from infra.__main__ import main; sys.exit(main())",
]


def test_how_to_get_the_packages_is_one_line(tmp_path: Path) -> None:
    command = [*BARE, "export", "mobileclip-s2", "--weights", "s2.pt", "--out", str(tmp_path / "s2.onnx")]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("dropvec: export needs packages that are not installed (torch, ")
    assert f"{sys.executable} -m pip install --group export --constraint constraints.txt" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_none() -> None:
    with pytest.raises(OperatorError, match="'s3' is not a model that can be exported; there are mobileclip-s0, "):
        export("s3", Path("s3.pt"), Path("s3.onnx"))
