"""The init process of the emulated machine; the only other processes are those that `tests.cpus.guest` forks."""

import ctypes
import json
import os
import signal
import sys
import traceback
from pathlib import Path

# Start of the console line with the report.
MARK = "REPORT "


def main(bundle: str) -> None:
    """Print the report on the console, and wait to be switched off."""
    try:
        _mount("proc", "/proc")
        _mount("sysfs", "/sys")
        sys.stderr.write("booted; importing\n")
        from tests.cpus.guest import report  # onnxruntime reads /proc and /sys when it is imported

        answer = report(Path(bundle))
    except Exception:  # noqa: BLE001 - if this process ended, the kernel would panic and show no error
        answer = {"failed": traceback.format_exc()}
    sys.stdout.write(f"{MARK}{json.dumps(answer)}\n")
    sys.stdout.flush()
    signal.pause()


def _mount(kind: str, folder: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(kind.encode(), folder.encode(), kind.encode(), 0, None) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)
