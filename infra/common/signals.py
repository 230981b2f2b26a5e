"""Signals: every polite way to end a command goes through its clean-up, and nothing interrupts that."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_POLITE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Terminated(BaseException):
    """SIGTERM or SIGHUP, raised where the program stands, as Python does with Ctrl-C."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def _raise(signum: int, _frame: FrameType | None) -> None:
    raise Terminated(signum)


@contextmanager
def terminations_raised() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into `Terminated`, and SIGINT into `KeyboardInterrupt`, while inside."""
    kept = {signum: signal.getsignal(signum) for signum in _POLITE}
    for signum, handler in kept.items():
        if handler is not signal.SIG_IGN:  # started with nohup: stays deaf to it
            signal.signal(signum, _raise)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a script's `&` has it ignored
    try:
        yield
    finally:
        for signum, handler in kept.items():
            signal.signal(signum, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Be deaf to a second Ctrl-C, and to its relatives, while inside."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals only ever reach the main thread
        return
    kept = {signum: signal.signal(signum, signal.SIG_IGN) for signum in _POLITE}
    try:
        yield
    finally:
        for signum, handler in kept.items():
            signal.signal(signum, handler)
