"""The operator commands from a bare clone: packages first, with nothing imported that a bare Python lacks."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from infra.common.paths import ROOT

NEEDED = ("onnx", "ministack", "rich")
# These get along with less, where the image is built and before it is.
NEEDED_BY = {"bake": ("httpx", "onnx", "onnxruntime", "pydantic", "rich"), "image": ()}


def ensure_packages() -> None:
    """Go on in the project's own environment, made first where it must be, unless this Python has what is needed."""
    python = ROOT / ".venv" / "bin" / "python"
    needed = NEEDED_BY.get("".join(sys.argv[1:2]), NEEDED)
    if all(importlib.util.find_spec(name) for name in needed) or Path(sys.prefix) == ROOT / ".venv":
        return
    if not (ROOT / ".venv" / ".ready").is_file():
        made = subprocess.run(["/bin/sh", "infra/venv.sh", sys.executable], cwd=ROOT, check=False)
        if made.returncode != 0:
            sys.exit(made.returncode)
    os.execv(python, [str(python), "-m", "infra", *sys.argv[1:]])  # noqa: S606 - our own interpreter, with our own arguments
