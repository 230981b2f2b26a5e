"""Open TCP connections and tunnels through a proxy, within one deadline that includes the DNS lookup.

Neither `socket.getaddrinfo` nor `socket.create_connection` bounds the total: the first has no timeout, and the second
waits for its timeout once per address. S3 returns up to eight addresses for a name.
"""

import errno
import http.client
import os
import select
import socket
import threading
import time
from typing import Any

# Another address is tried in addition when the earlier ones have not answered for so long; as in RFC 8305, section 5.
NEXT_ADDRESS_SECONDS = 0.25

# Family and address, as `socket.getaddrinfo` returns them.
_Address = tuple[socket.AddressFamily, Any]


def open_socket(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to one of the addresses of a name. The socket's timeout is the time that is left.

    Addresses are tried in the order of the DNS answer, each one shortly after the one before, and the first that
    answers is used: an unreachable address neither uses up the time nor delays the others.

    Args:
        host: name or IP address.
        port: TCP port.
        deadline: in seconds of `time.monotonic`.

    Raises:
        TimeoutError: the deadline has passed.
        OSError: the name does not exist, or no address accepts a connection.
    """
    addresses = _look_up(host, port, deadline)
    pending: list[socket.socket] = []
    try:
        found = _first_connected(addresses, pending, deadline)
        pending.remove(found)
    finally:
        for one in pending:
            one.close()
    found.settimeout(_left(deadline))
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found


def _look_up(host: str, port: int, deadline: float) -> list[_Address]:
    """The addresses of a name. The lookup runs in a thread, because nothing can interrupt it."""
    found: list[list[_Address] | OSError] = []

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.append([(family, address) for family, _, _, _, address in answers])
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if not found:
        raise TimeoutError(f"the DNS lookup of {host} timed out")
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


def _first_connected(addresses: list[_Address], pending: list[socket.socket], deadline: float) -> socket.socket:
    """The first socket that connects; `pending` receives all sockets that were opened and have not failed."""
    remaining = list(addresses)
    reason = OSError("the name has no address")
    while remaining or pending:
        if remaining:
            try:
                pending.append(_begin_to_connect(*remaining.pop(0)))
            except OSError as error:
                reason = error
                continue
        wait = min(_left(deadline), NEXT_ADDRESS_SECONDS) if remaining else _left(deadline)
        _, ready, _ = select.select([], pending, [], wait)
        for one in ready:
            code = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                return one
            reason = OSError(code, os.strerror(code))
            pending.remove(one)
            one.close()
    raise reason


def _begin_to_connect(family: socket.AddressFamily, address: Any) -> socket.socket:  # noqa: ANN401 - depends on the family
    """A socket that is connecting.

    Raises:
        OSError: there is no route to the address, or the machine does not have its family.
    """
    one = socket.socket(family, socket.SOCK_STREAM)
    one.settimeout(0)
    code = one.connect_ex(address)
    if code not in {0, errno.EINPROGRESS}:
        one.close()
        raise OSError(code, os.strerror(code))
    return one


def _left(deadline: float) -> float:
    """Seconds until the deadline.

    Raises:
        TimeoutError: it has passed.
    """
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("timed out")
    return seconds


def open_tunnel(sock: socket.socket, authority: str, headers: dict[str, str], deadline: float) -> None:
    """Ask a proxy for a tunnel to a server.

    Args:
        sock: the connection to the proxy.
        authority: host and port of the server.
        headers: for the proxy.
        deadline: in seconds of `time.monotonic`; also the socket's timeout afterwards.

    Raises:
        OSError: the proxy refused, or did not answer in time.
    """
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", *(f"{name}: {headers[name]}" for name in headers)]
    sock.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1"))
    sock.settimeout(_left(deadline))
    answer = http.client.HTTPResponse(sock, method="CONNECT")
    try:
        answer.begin()
    finally:
        answer.close()
    if not 200 <= answer.status < 300:
        raise OSError(f"the proxy refused a tunnel to {authority}: {answer.status} {answer.reason}")
    sock.settimeout(_left(deadline))
