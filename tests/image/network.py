"""A network that has nothing but its own loopback, and one door in that: the local AWS."""

import ctypes
import os
import socket
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

HOST = "127.0.0.1"
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of <sched.h>
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Network:
    """A network namespace with a name."""

    name: str

    @property
    def path(self) -> Path:
        """What stands for it."""
        return Path("/run/netns") / self.name

    def connect(self, port: int, timeout: float) -> socket.socket:
        """A connection inside it, from this process.

        Raises:
            OSError: nobody listens there.
        """
        return self._inside(lambda: socket.create_connection((HOST, port), timeout))

    def listen(self, port: int) -> socket.socket:
        """A socket that listens inside it."""
        return self._inside(lambda: socket.create_server((HOST, port)))

    def _inside(self, make: Callable[[], T]) -> T:
        """Do something in a thread that lives in the namespace: a socket stays where it was made."""
        made: list[T] = []
        faults: list[OSError] = []

        def enter() -> None:
            namespace = os.open(self.path, os.O_RDONLY)
            try:
                _enter(namespace)
                made.append(make())
            except OSError as error:
                faults.append(error)
            finally:
                os.close(namespace)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if faults:
            raise faults[0]
        return made[0]


def _enter(namespace: int) -> None:
    if _LIBC.setns(namespace, _NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextmanager
def network() -> Iterator[Network]:
    """A network of its own while inside."""
    made = Network(f"dropvec-{uuid.uuid4().hex[:12]}")
    _ip("netns", "add", made.name)
    try:
        _ip("-netns", made.name, "link", "set", "lo", "up")
        yield made
    finally:
        _ip("netns", "delete", made.name)


@contextmanager
def door(inside: Network, port: int, outside: int) -> Iterator[None]:
    """Have a port of the network's loopback answered by one of this machine's loopback, while inside."""
    with inside.listen(port) as listener:
        thread = threading.Thread(target=_let_in, args=(listener, outside), daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _let_in(listener: socket.socket, outside: int) -> None:
    with suppress(OSError):  # how it ends
        while True:
            guest, _ = listener.accept()
            threading.Thread(target=_accompany, args=(guest, outside), daemon=True).start()


def _accompany(guest: socket.socket, outside: int) -> None:
    with guest, socket.create_connection((HOST, outside)) as host:
        back = threading.Thread(target=_pump, args=(host, guest), daemon=True)
        back.start()
        _pump(guest, host)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _ip(*arguments: str) -> None:
    subprocess.run(["/usr/sbin/ip", *arguments], check=True)
