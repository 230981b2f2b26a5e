"""List the running processes of a group, for tests that check that no process is left."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROC = Path("/proc")


def alive(group: int) -> list[int]:
    """Ids of the running processes of a group, without zombies."""
    return [pid for pid, pgid, state in _all() if pgid == group and not state.startswith(("Z", "X"))]


def _all() -> Iterator[tuple[int, int, str]]:
    if not (PROC / "self" / "stat").exists():
        command = ["ps", "-A", "-o", "pid=,pgid=,stat="]  # macOS
        for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
            pid, pgid, state = line.split()
            yield int(pid), int(pgid), state
        return
    for path in PROC.glob("[0-9]*/stat"):
        try:
            fields = (
                path.read_text().rpartition(")")[2].split()
            )  # the process name before it may contain spaces and parentheses
        except OSError:  # the process has ended
            continue
        yield int(path.parent.name), int(fields[2]), fields[0]


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Wait until a condition is true; returns False on timeout."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
