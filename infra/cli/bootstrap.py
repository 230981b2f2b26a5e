"""Create the virtual environment when the commands run from a bare clone. Imports the standard library only."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from infra.common.paths import ROOT

REQUIRED = ("onnx", "ministack", "rich")
# Commands that need other packages: `bake` also runs inside the image build, `image` runs before any installation.
REQUIRED_BY = {"bake": ("httpx", "onnx", "onnxruntime", "pydantic", "rich"), "image": ()}


def ensure_packages() -> None:
    """Return if this Python has the required packages; otherwise re-run the command in .venv, creating it if needed."""
    python = ROOT / ".venv" / "bin" / "python"
    required = REQUIRED_BY.get("".join(sys.argv[1:2]), REQUIRED)
    if all(importlib.util.find_spec(name) for name in required) or Path(sys.prefix) == ROOT / ".venv":
        return
    if not (ROOT / ".venv" / ".ready").is_file():
        created = subprocess.run(["/bin/sh", "infra/venv.sh", sys.executable], cwd=ROOT, check=False)
        if created.returncode != 0:
            sys.exit(created.returncode)
    os.execv(python, [str(python), "-m", "infra", *sys.argv[1:]])  # noqa: S606 - our interpreter with our own arguments
