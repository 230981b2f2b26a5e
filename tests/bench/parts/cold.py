"""Measure cold starts as processes: time to ready, first vector and first result, and memory; also from disk."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.common.paths import ROOT
from tests.bench.figures import Figure, Findings, compared
from tests.bench.process import Run, drop_from_page_cache, python, run
from tests.bench.setting import FOLDER, Setting, large_picture, medium_picture
from tests.bench.world import s3_event, upload, world

PROBE = str(ROOT / "tests" / "bench" / "probe.py")
NAIVE, OURS = "tests.bench.sides.with_naive", "tests.bench.sides.with_dropvec"


def probe(module: str, *task: str, interpreter: str | None = None) -> list[str]:
    """The command that runs one side in `tests.bench.probe`."""
    return [interpreter or python(), "-P", PROBE, module, *task]


def pairs(setting: Setting, commands: Sequence[Sequence[str]], runs: int, **more: str) -> list[list[Run]]:
    """Run commands in turn, A B A B; the first round, which warms the page cache, does not count."""
    found: list[list[Run]] = [[] for _ in commands]
    for number in range(runs + 1):
        for place, command in enumerate(commands):
            finished = run(command, setting.environment(**more), setting.core)
            if number:
                found[place].append(finished)
    return found


def measure(setting: Setting) -> Findings:
    """Measure with a warm page cache."""
    task = ("embed", str(medium_picture(setting)))
    naive, ours = pairs(setting, [probe(NAIVE, *task), probe(OURS, *task)], setting.runs)
    figures = [
        _of_marks("exec to ready", naive, ours, "ready"),
        _of_marks("exec to first embedding, 2000 x 1500 JPEG", naive, ours, "vector"),
        _first_stored(setting),
        compared(
            "processor time until then, first embedding",
            "ms",
            [1000 * found.cpu_seconds for found in naive],
            [1000 * found.cpu_seconds for found in ours],
        ),
        _memory("peak memory, ready", naive, ours, "ready"),
        _large(setting),
        _session(setting),
    ]
    return Findings(figures, raw={"naive": _raw(naive), "ours": _raw(ours)})


def measure_from_disk(setting: Setting) -> Findings:
    """Measure with a cold page cache, as far as a process can drop it; the time depends on the size of the files."""
    commands = {name: probe(module, "embed", str(medium_picture(setting))) for name, module in _SIDES.items()}
    files = {name: opened_files(setting, command) for name, command in commands.items()}
    found: dict[str, list[Run]] = {name: [] for name in commands}
    dropped = dict.fromkeys(commands, 0.0)
    for _ in range(max(2, setting.runs // 2)):
        for name, command in commands.items():
            dropped[name] = drop_from_page_cache(files[name])
            found[name].append(run(command, setting.environment(), setting.core))
    naive, ours = found["naive"], found["dropvec"]
    read = {name: sorted(entry.read_mib for entry in runs)[len(runs) // 2] for name, runs in found.items()}
    note = (
        f"before each run its files were dropped from the page cache with posix_fadvise(DONTNEED): "
        f"naive {dropped['naive']:.0f} MiB in {len(files['naive'])} files, dropvec {dropped['dropvec']:.0f} MiB in "
        f"{len(files['dropvec'])}; files that other processes have mapped stay. Read from disk: "
        f"naive {read['naive']:.0f} MiB, dropvec {read['dropvec']:.0f} MiB"
    )
    figures = [
        _of_marks("exec to ready, page cache cold", naive, ours, "ready"),
        _of_marks("exec to first embedding, page cache cold", naive, ours, "vector"),
    ]
    return Findings(figures, notes=[note], raw={"naive": _raw(naive), "ours": _raw(ours)})


_SIDES: Mapping[str, str] = {"naive": NAIVE, "dropvec": OURS}


def opened_files(setting: Setting, command: Sequence[str]) -> list[Path]:
    """Every file that a side opens: mapped files, modules and the model."""
    value = run(command, setting.environment(BENCH_FILES="1"), setting.core).marks["files"].value
    names: list[str] = [str(name) for name in value] if isinstance(value, list) else []
    return sorted({Path(name) for name in names} | set(Path(setting.bundle).iterdir()))


def _first_stored(setting: Setting) -> Figure:
    """The complete first invocation, with the local AWS without added latency."""
    naive: list[float] = []
    ours: list[float] = []
    folder = FOLDER / "events"
    folder.mkdir(parents=True, exist_ok=True)
    with world(folder, setting.other_core) as aws:
        data = medium_picture(setting).read_bytes()
        for number in range(setting.runs + 1):
            for module, found in ((NAIVE, naive), (OURS, ours)):
                event = folder / "event.json"
                event.write_text(json.dumps(s3_event(upload(aws.direct, data)[0])), "utf-8")
                environment = setting.environment() | aws.environment(aws.direct)
                finished = run(probe(module, "handle", str(event)), environment, setting.core)
                if number:
                    found.append(1000 * finished.marks["stored"].seconds)
    return compared("exec to first result stored, 2000 x 1500 JPEG", "ms", naive, ours)


def _large(setting: Setting) -> Figure:
    task = ("embed", str(large_picture(setting)))
    naive, ours = pairs(setting, [probe(NAIVE, *task), probe(OURS, *task)], max(1, setting.runs // 3))
    return _memory("peak memory, after the first 12 MP image", naive, ours, "vector")


def _session(setting: Setting) -> Figure:
    """The creation of the session, without imports."""
    sides = ["tests.bench.sides.session_naive", "tests.bench.sides.session_dropvec"]
    naive, ours = pairs(setting, [probe(module, "session") for module in sides], setting.runs)
    return compared("session creation", "ms", _between(naive), _between(ours))


def _between(runs: Sequence[Run]) -> list[float]:
    return [1000 * (found.marks["session"].seconds - found.marks["ready"].seconds) for found in runs]


def _of_marks(name: str, naive: Sequence[Run], ours: Sequence[Run], mark: str) -> Figure:
    theirs, mine = ([1000 * found.marks[mark].seconds for found in runs] for runs in (naive, ours))
    return compared(name, "ms", theirs, mine)


def _memory(name: str, naive: Sequence[Run], ours: Sequence[Run], mark: str) -> Figure:
    theirs, mine = ([found.marks[mark].peak_mib for found in runs] for runs in (naive, ours))
    return compared(name, "MiB", theirs, mine)


def _raw(runs: Sequence[Run]) -> list[dict[str, object]]:
    return [
        {"cpu_s": found.cpu_seconds, "read_mib": found.read_mib}
        | {name: [mark.seconds, mark.peak_mib] for name, mark in found.marks.items() if name != "files"}
        for found in runs
    ]
