"""HTTP/1.1 over connections that are kept: time-outs, TLS, proxies, and what a freeze does to a connection."""

import http.client
import os
import select
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, Self

from handler.aws.sdk.certificates import Trust
from handler.aws.sdk.endpoints import Address
from handler.aws.sdk.errors import NetworkError, StaleError
from handler.aws.sdk.proxies import Proxy, proxy_for

# Idle for longer it may be gone without a word, since nothing tells a frozen sandbox: NAT gateways drop after 350 s
# (https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html).
MAX_IDLE_SECONDS = 60.0
MAX_IDLE_CONNECTIONS = 8

_FAULTS = (OSError, http.client.HTTPException)


class Timeouts(NamedTuple):
    """Seconds.

    Attributes:
        connect: until a connection is made, TLS included.
        read: the longest silence after that.
    """

    connect: float
    read: float


class _Kept(NamedTuple):
    place: tuple[str, str, int]
    connection: http.client.HTTPConnection
    # By the wall clock, which a frozen sandbox finds put right.
    since: float


class _Pool:
    """Connections that nobody uses, the newest last."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []
        self._lock = threading.Lock()

    def put(self, place: tuple[str, str, int], connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._kept.append(_Kept(place, connection, time.time()))
            oldest = self._kept.pop(0) if len(self._kept) > MAX_IDLE_CONNECTIONS else None
        if oldest:
            oldest.connection.close()

    def take(self, place: tuple[str, str, int]) -> http.client.HTTPConnection | None:
        """One to that place that can be used still."""
        while kept := self._pop(place):
            if 0 <= time.time() - kept.since <= MAX_IDLE_SECONDS and not _has_something_to_say(kept.connection):
                return kept.connection
            kept.connection.close()
        return None

    def _pop(self, place: tuple[str, str, int]) -> _Kept | None:
        with self._lock:
            number = next((n for n in reversed(range(len(self._kept))) if self._kept[n].place == place), None)
            return None if number is None else self._kept.pop(number)

    def clear(self) -> None:
        with self._lock:
            gone, self._kept = self._kept, []
        for kept in gone:
            kept.connection.close()


class Answer:
    """What came back: status and headers at once, the body when it is read.

    To be closed: the connection is kept if the body was read to its end.
    """

    def __init__(
        self,
        response: http.client.HTTPResponse,
        connection: http.client.HTTPConnection,
        keep: Callable[[http.client.HTTPConnection], None],
    ) -> None:
        self.status = response.status
        self._response = response
        self._connection = connection
        self._keep = keep

    def header(self, name: str) -> str | None:
        """A header, whatever the case of its name."""
        return self._response.headers.get(name)

    @property
    def length(self) -> int | None:
        """Bytes of the body; None where the answer does not say."""
        text = self._response.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    def read(self, amount: int | None = None) -> bytes:
        """Read so many bytes, or all; none at the end.

        Raises:
            NetworkError: the body ends too early.
        """
        try:
            data = self._response.read(amount)
        except _FAULTS as error:
            self._connection.close()
            raise NetworkError(f"the answer's body: {error or type(error).__name__}") from None
        if not data and self._response.length:
            self._connection.close()
            raise NetworkError(f"the answer's body: {self._response.length} bytes are missing")
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._response.length == 0:  # an empty body is at its end before it is read
            self._response.close()
        if self._response.isclosed() and self._connection.sock:
            self._keep(self._connection)
        else:
            self._response.close()
            self._connection.close()


class Connections:
    """All connections of a process; safe to use from several threads."""

    def __init__(self, timeouts: Timeouts, environment: Mapping[str, str] = os.environ) -> None:
        self._timeouts = timeouts
        self._trust = Trust(environment)
        self._pool = _Pool()

    def send(self, address: Address, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a request over a kept connection, or a new one.

        Raises:
            StaleError: over a kept one, which turned out to be closed; none that is idle will be used again.
            NetworkError: no answer, or one that is not HTTP.
        """
        proxy = proxy_for(address)
        if proxy and address.scheme == "http":  # over TLS the proxy hears all that it needs when the connection is made
            target, headers = f"http://{address.authority}{target}", {**headers, **proxy.headers}
        place = (address.scheme, address.host, address.port)
        kept = self._pool.take(place)
        try:
            connection = kept or self._connect(address, proxy)
            response = _exchange(connection, method, target, headers, body)
        except _FAULTS as error:
            text = f"{address.authority}: {error or type(error).__name__}"
            if kept and isinstance(error, (ConnectionError, ssl.SSLError)):
                self._pool.clear()
                raise StaleError(text) from None
            raise NetworkError(text) from None
        return Answer(response, connection, partial(self._pool.put, place))

    def close(self) -> None:
        """Close those that nobody uses."""
        self._pool.clear()

    def _connect(self, address: Address, proxy: Proxy | None) -> http.client.HTTPConnection:
        try:
            return self._connect_once(address, proxy)
        except ssl.SSLCertVerificationError:
            if not self._trust.widen():
                raise
            return self._connect_once(address, proxy)

    def _connect_once(self, address: Address, proxy: Proxy | None) -> http.client.HTTPConnection:
        connection = self._unconnected(address, proxy)
        try:
            connection.connect()
        except BaseException:
            connection.close()
            raise
        connection.sock.settimeout(self._timeouts.read)
        return connection

    def _unconnected(self, address: Address, proxy: Proxy | None) -> http.client.HTTPConnection:
        host, port = (proxy.host, proxy.port) if proxy else (address.host, address.port)
        if address.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeouts.connect)
        connection = http.client.HTTPSConnection(
            host, port, timeout=self._timeouts.connect, context=self._trust.context()
        )
        if proxy:
            connection.set_tunnel(address.host, address.port, proxy.headers)
        return connection


def _exchange(
    connection: http.client.HTTPConnection, method: str, target: str, headers: Mapping[str, str], body: bytes
) -> http.client.HTTPResponse:
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body or None)
        return connection.getresponse()
    except BaseException:
        connection.close()
        raise


def _has_something_to_say(connection: http.client.HTTPConnection) -> bool:
    """Whether an idle server sends, which can only be the end."""
    try:
        return bool(select.select([connection.sock], [], [], 0)[0])
    except (OSError, ValueError):
        return True
