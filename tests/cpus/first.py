"""The first process of the emulated machine, and the only one but for those that `tests.cpus.guest` forks."""

import ctypes
import json
import os
import signal
import sys
import traceback
from pathlib import Path

# In front of the report on the console.
MARK = "REPORT "


def main(bundle: str) -> None:
    """Report on the console, and wait to be switched off."""
    try:
        _mount("proc", "/proc")
        _mount("sysfs", "/sys")
        sys.stderr.write("booted; importing\n")
        from tests.cpus.guest import report  # onnxruntime looks at /proc and /sys when it is imported

        answer = report(Path(bundle))
    except Exception:  # noqa: BLE001 - the machine stops when its first process ends, and then shows nothing
        answer = {"failed": traceback.format_exc()}
    sys.stdout.write(f"{MARK}{json.dumps(answer)}\n")
    sys.stdout.flush()
    signal.pause()


def _mount(kind: str, place: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(kind.encode(), place.encode(), kind.encode(), 0, None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), place)
