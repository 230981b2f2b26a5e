"""A network namespace with only a loopback interface, and a forwarded port for the local AWS."""

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
    """A named network namespace."""

    name: str

    @property
    def path(self) -> Path:
        """The file of the namespace."""
        return Path("/run/netns") / self.name

    def connect(self, port: int, timeout: float) -> socket.socket:
        """Connect from this process to a port inside the namespace.

        Raises:
            OSError: the connection failed.
        """
        return self._inside(lambda: socket.create_connection((HOST, port), timeout))

    def listen(self, port: int) -> socket.socket:
        """A socket of this process that listens inside the namespace."""
        return self._inside(lambda: socket.create_server((HOST, port)))

    def _inside(self, make: Callable[[], T]) -> T:
        """Call a function in a thread inside the namespace; a socket stays in the namespace where it was created."""
        made: list[T] = []
        errors: list[OSError] = []

        def enter() -> None:
            namespace = os.open(self.path, os.O_RDONLY)
            try:
                _enter(namespace)
                made.append(make())
            except OSError as error:
                errors.append(error)
            finally:
                os.close(namespace)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return made[0]


def _enter(namespace: int) -> None:
    if _LIBC.setns(namespace, _NEW_NETWORK) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextmanager
def network() -> Iterator[Network]:
    """Create a network for the block, and delete it afterwards."""
    made = Network(f"dropvec-{uuid.uuid4().hex[:12]}")
    _ip("netns", "add", made.name)
    try:
        _ip("-netns", made.name, "link", "set", "lo", "up")
        yield made
    finally:
        _ip("netns", "delete", made.name)


@contextmanager
def forwarded(inside: Network, port: int, outside: int) -> Iterator[None]:
    """Within the block, forward a port of the network's loopback to a port of this machine's loopback."""
    with inside.listen(port) as listener:
        thread = threading.Thread(target=_accept, args=(listener, outside), daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listener: socket.socket, outside: int) -> None:
    with suppress(OSError):  # raised when the listener is shut down
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_forward, args=(client, outside), daemon=True).start()


def _forward(client: socket.socket, outside: int) -> None:
    with client, socket.create_connection((HOST, outside)) as server:
        responses = threading.Thread(target=_copy, args=(server, client), daemon=True)
        responses.start()
        _copy(client, server)
        responses.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _ip(*arguments: str) -> None:
    subprocess.run(["/usr/sbin/ip", *arguments], check=True)
