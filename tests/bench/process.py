"""Run a program as a process on one core, and measure its time from its exec, and its memory."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Environment variables: the time of the exec, and the file descriptor for marks (see `tests.bench.probe`).
STARTED, MARKS = "BENCH_STARTED", "BENCH_MARKS"

_MIB = 1024 * 1024
_BLOCK = 512  # bytes, the unit of `ru_inblock`


class FailedRunError(Exception):
    """A program failed; the text is its last line on standard error."""


@dataclass(frozen=True)
class Mark:
    """A report of a program about itself at one point.

    Attributes:
        seconds: since its exec.
        peak_mib: peak of resident memory until then.
        value: any further value.
    """

    seconds: float
    peak_mib: float
    value: object = None


@dataclass(frozen=True)
class Run:
    """A finished program.

    Attributes:
        marks: name to mark.
        wall_seconds: from exec to end.
        cpu_seconds: user and system time.
        read_mib: read from disk, not from the page cache.
    """

    marks: Mapping[str, Mark]
    wall_seconds: float
    cpu_seconds: float
    read_mib: float


def run(command: Sequence[str], environment: Mapping[str, str], core: int) -> Run:
    """Run a program to its end, pinned to a core.

    The program reports its peak memory itself at each mark. `ru_maxrss` would be wrong: the kernel keeps it across an
    exec, so it is at least the parent's.

    Raises:
        FailedRunError: the program failed.
    """
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            _become(command, environment, core, writer, (output.fileno(), errors.fileno()))
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            lines = pipe.read().splitlines()
        _, status, usage = os.wait4(child, 0)
        ended = time.monotonic_ns()
        if status != 0:
            errors.seek(0)
            raise FailedRunError(_last_line(errors.read()) or f"wait status {status} of {command}")
    entries = {entry["name"]: entry for entry in map(json.loads, lines)}
    started = int(entries.pop("exec")["at"])
    marks = {
        name: Mark((entry["at"] - started) / 1e9, entry["peak_kib"] / 1024, entry.get("value"))
        for name, entry in entries.items()
    }
    return Run(
        marks=marks,
        wall_seconds=(ended - started) / 1e9,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        read_mib=usage.ru_inblock * _BLOCK / _MIB,
    )


def _become(
    command: Sequence[str], environment: Mapping[str, str], core: int, marks: int, output: tuple[int, int]
) -> None:
    """Replace this forked process with the program; the measured time starts with the exec."""
    try:
        os.sched_setaffinity(0, {core})
        os.set_inheritable(marks, True)  # noqa: FBT003 - the only argument it has
        os.dup2(output[0], 1)
        os.dup2(output[1], 2)
        given = {**environment, MARKS: str(marks)}
        os.write(marks, b'{"name": "exec", "at": %d}\n' % time.monotonic_ns())
        os.execve(command[0], list(command), given)  # noqa: S606 - the bench's own programs
    finally:
        os._exit(127)


def _last_line(text: bytes) -> str:
    lines = [line for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def cores() -> tuple[int, int]:
    """The core to measure on, and the core for everything else; the same one if there is only one."""
    found = sorted(os.sched_getaffinity(0))
    return found[-1], found[0]


def plain_environment(**more: str) -> dict[str, str]:
    """An environment without the user's AWS settings, with the thread settings of the container image."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0", **more}


def drop_from_page_cache(files: Sequence[Path]) -> float:
    """Drop files from the page cache unless a process has mapped them; returns their size in MiB."""
    total = 0
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())  # dirty pages cannot be dropped
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            total += os.fstat(file.fileno()).st_size
    return total / _MIB


def python(environment: Path | None = None) -> str:
    """The interpreter of a virtual environment; None for the running one."""
    return sys.executable if environment is None else str(environment / "bin" / "python")
