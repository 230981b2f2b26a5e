"""Install the alternatives to dropvec ("peers"), one by one, into a virtual environment of the benchmarks."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.common.paths import ROOT
from tests.bench.process import python
from tests.bench.setting import PEERS

NAMES = ("fastembed", "openvino", "torch")
CHART = "chart"

_STATUS_FILE = PEERS / "installed.json"
_CONSTRAINTS = ROOT / "tests" / "bench" / "constraints.txt"


@dataclass(frozen=True)
class Installed:
    """The result of an installation.

    Attributes:
        seconds: how long it took.
        error: why it failed; empty if it succeeded.
    """

    seconds: float
    error: str


def install(names: Sequence[str]) -> dict[str, Installed]:
    """Install the alternatives that are not installed yet; failures are returned, not raised."""
    pip = [python(PEERS), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    if not Path(pip[0]).exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        subprocess.run([*pip, "pip>=25.1"], check=True)
    done = _read()
    for name in (CHART, *names):
        if name in done and not done[name].error:
            continue
        begun = time.monotonic()
        command = [*pip, "--group", f"bench-{name}", "--constraint", str(_CONSTRAINTS)]
        finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        lines = [line for line in finished.stderr.splitlines() if line.startswith("ERROR")]
        error = "" if finished.returncode == 0 else (lines or ["pip failed"])[-1][:200]
        done[name] = Installed(time.monotonic() - begun, error)
        _STATUS_FILE.write_text(json.dumps({key: asdict(value) for key, value in done.items()}), "utf-8")
    return done


def _read() -> dict[str, Installed]:
    if not _STATUS_FILE.is_file():
        return {}
    return {name: Installed(**fields) for name, fields in json.loads(_STATUS_FILE.read_text("utf-8")).items()}
