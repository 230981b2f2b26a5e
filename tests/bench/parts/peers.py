"""Measure the alternatives: the same model and picture, each as a process on one core."""

import json
import math
import subprocess
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from infra.common.paths import ROOT
from tests.bench.figures import Findings, Grid
from tests.bench.parts.cold import NAIVE, OURS, probe
from tests.bench.peers import NAMES, install
from tests.bench.process import FailedRunError, Run, python, run
from tests.bench.setting import FOLDER, PEERS, Setting, medium_picture

_PREPARED = FOLDER / "peers"


def measure(setting: Setting) -> Findings:
    """Measure each alternative; one that cannot be installed or run gets a row with the reason."""
    wanted = [name for name in NAMES if name in setting.peers]
    installed = install(wanted)
    commands = {"naive": probe(NAIVE, *_task(setting)), "dropvec": probe(OURS, *_task(setting))}
    reasons = {name: "not selected" for name in NAMES if name not in wanted}
    for name in wanted:
        reasons[name] = installed[name].error or _prepare(name, Path(setting.bundle))
        module = f"tests.bench.sides.with_{name}"
        commands[name] = probe(module, *_task(setting), interpreter=python(PEERS))
    found = _run(setting, {name: command for name, command in commands.items() if not reasons.get(name)}, reasons)
    reference = found["naive"][0].marks["vector"].value
    rows = [_row(name, runs, reference, found["dropvec"]) for name, runs in found.items()]
    rows += [[name, reason, *[""] * 6] for name, reason in reasons.items() if reason]
    columns = [
        "",
        "version",
        "ready, ms",
        "first embedding, ms",
        "warm, ms",
        "peak MiB",
        "cosine to naive",
        "dropvec to it",
    ]
    took = ", ".join(f"{name} {entry.seconds:.0f} s" for name, entry in installed.items())
    notes = [f"installing took: {took}"]
    bars = {
        name: [1000 * median(one.marks[mark].seconds for one in runs) for mark in ("ready", "vector")]
        for name, runs in found.items()
    }
    memory = {name: median(one.marks["vector"].peak_mib for one in runs) for name, runs in found.items()}
    grid = Grid("alternatives: exec to a vector of a 2000 x 1500 JPEG", columns, rows)
    return Findings(grids=[grid], notes=notes, raw={"cold_ms": bars, "peak_mib": memory})


def _task(setting: Setting) -> tuple[str, str]:
    return "embed", str(medium_picture(setting))


def _prepare(name: str, bundle: Path) -> str:
    """Convert the model for an alternative; returns the error if that fails, else an empty text."""
    command = [python(PEERS), "-m", "tests.bench.sides.prepare", name, str(bundle), str(_PREPARED / name)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if finished.returncode == 0 else (finished.stderr.splitlines() or ["the conversion failed"])[-1][:200]


def _run(setting: Setting, commands: dict[str, list[str]], reasons: dict[str, str]) -> dict[str, list[Run]]:
    """Run the commands in turn; one that fails is left out, and its error added to `reasons`."""
    found: dict[str, list[Run]] = {name: [] for name in commands}
    environment = setting.environment(BENCH_WARM="5", PEERS_DIR=str(_PREPARED), HF_HUB_OFFLINE="1")
    for number in range(max(2, setting.runs // 3) + 1):
        for name, command in commands.items():
            if reasons.get(name):
                continue
            try:
                finished = run(command, environment, setting.core)
            except FailedRunError as error:
                reasons[name] = str(error)
                found.pop(name)
                continue
            if number:
                found[name].append(finished)
    return found


def _row(name: str, runs: Sequence[Run], reference: object, ours: Sequence[Run]) -> list[str]:
    ready, first = ([1000 * one.marks[mark].seconds for one in runs] for mark in ("ready", "vector"))
    warm = [float(str(mark.value)) for one in runs for key, mark in one.marks.items() if key.startswith("warm-")]
    peak = [one.marks["vector"].peak_mib for one in runs]
    pairs = zip(ours, runs, strict=True)
    ratio = median(one.marks["vector"].seconds / other.marks["vector"].seconds for one, other in pairs)
    same = cosine(runs[0].marks["vector"].value, reference)
    numbers = [f"{median(values):,.0f}" for values in (ready, first, warm, peak)]
    return [name, version_of(name), *numbers, f"{same:.6f}", f"{ratio:.2f}"]


def version_of(name: str) -> str:
    """The installed version of an alternative; empty for dropvec and naive."""
    if name not in NAMES:
        return ""
    code = f"from importlib.metadata import version; print(version({json.dumps(name)}))"
    return subprocess.run([python(PEERS), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def cosine(one: object, other: object) -> float:
    """Cosine of two lists of numbers."""
    if not isinstance(one, list) or not isinstance(other, list):
        raise TypeError(f"not vectors: {one!r:.50}, {other!r:.50}")
    product = math.fsum(a * b for a, b in zip(one, other, strict=True))
    return product / (math.hypot(*one) * math.hypot(*other))
