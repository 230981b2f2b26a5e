"""What people would pick instead, in an environment of its own: installed once, each by itself, or told why not."""

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

_NOTES = PEERS / "peers.json"
_CONSTRAINTS = ROOT / "tests" / "bench" / "constraints.txt"


@dataclass(frozen=True)
class Installed:
    """How installing one of them went.

    Attributes:
        seconds: it took.
        fault: why it is not there; empty when it is.
    """

    seconds: float
    fault: str


def install(names: Sequence[str]) -> dict[str, Installed]:
    """Install what is not there yet; a failure is kept, and told, not raised."""
    pip = [python(PEERS), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
    if not Path(pip[0]).exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        subprocess.run([*pip, "pip>=25.1"], check=True)
    done = _read()
    for name in (CHART, *names):
        if name in done and not done[name].fault:
            continue
        begun = time.monotonic()
        command = [*pip, "--group", f"bench-{name}", "--constraint", str(_CONSTRAINTS)]
        finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        said = [line for line in finished.stderr.splitlines() if line.startswith("ERROR")]
        fault = "" if finished.returncode == 0 else (said or ["pip failed"])[-1][:200]
        done[name] = Installed(time.monotonic() - begun, fault)
        _NOTES.write_text(json.dumps({key: asdict(value) for key, value in done.items()}), "utf-8")
    return done


def _read() -> dict[str, Installed]:
    if not _NOTES.is_file():
        return {}
    return {name: Installed(**fields) for name, fields in json.loads(_NOTES.read_text("utf-8")).items()}
