"""No telemetry: Microsoft's builds of onnxruntime send it unless an environment variable disables it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("module", ["handler.model.encoder", "infra.bake.reuse"])
def test_onnxruntime_stores_no_identifier_and_no_events(module: str, tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    environment = kept | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    script = f"import {module}, onnxruntime; onnxruntime.SessionOptions(); onnxruntime.get_available_providers()"
    subprocess.run([sys.executable, "-B", "-c", script], cwd=ROOT, env=environment, check=True)
    assert sorted(tmp_path.rglob("*")) == []
