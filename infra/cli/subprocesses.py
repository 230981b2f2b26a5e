"""Run a program that ends, with everything that it started, when this process receives a signal to end."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from infra.common.signals import Terminated

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_KILL_SECONDS = 5.0


class _Child:
    """A child in a session of its own, so that a terminal's Ctrl-C reaches this process only."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.signum = 0

    def stop(self, signum: int, _frame: FrameType | None = None) -> None:
        """End the child's process group; a handler instead of an exception, so that no moment is unguarded."""
        self.signum = signum
        if self.process is not None:
            self._signal(signal.SIGINT)
            timer = threading.Timer(_KILL_SECONDS, self._signal, [signal.SIGKILL])
            timer.daemon = True
            timer.start()

    def _signal(self, signum: int) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signum)


def run_stoppable(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], show: Callable[[str], None], what: str
) -> int:
    """Run a program and return its exit code.

    Args:
        command: the program and its arguments.
        folder: its working directory.
        environment: its environment.
        show: called with each line of its output.
        what: what a signal stops, for the message.

    Raises:
        KeyboardInterrupt: SIGINT arrived, and the program has ended.
        Terminated: SIGTERM or SIGHUP arrived, and the program has ended.
    """
    child = _Child()
    previous = {signum: signal.getsignal(signum) for signum in _SIGNALS}
    for signum, handler in previous.items():
        if handler is not signal.SIG_IGN:
            signal.signal(signum, child.stop)
    try:
        child.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        if child.signum:  # it arrived before there was a process to end
            child.stop(child.signum)
        with child.process as process:
            for line in process.stdout or ():
                show(line)
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
    if child.signum == signal.SIGINT:
        raise KeyboardInterrupt(what)
    if child.signum:
        raise Terminated(child.signum)
    return process.returncode
