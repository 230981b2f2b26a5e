"""HTTP/1.1 over persistent connections: timeouts, TLS, proxies, and connections that closed while Lambda was frozen."""

import http.client
import os
import re
import select
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, Self

from handler.aws.sdk.certificates import CertificateStore
from handler.aws.sdk.endpoints import Endpoint
from handler.aws.sdk.errors import NetworkError, StaleError, TooManyHeadersError
from handler.aws.sdk.proxies import Proxy, proxy_for
from handler.aws.sdk.sockets import open_socket, open_tunnel

# A connection that was idle for longer may be dead: NAT gateways drop idle connections after 350 s, which a frozen
# sandbox does not notice (https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html).
MAX_IDLE_SECONDS = 60.0
MAX_IDLE_CONNECTIONS = 8

# Scheme, host, port.
Origin = tuple[str, str, int]

_ERRORS = (OSError, http.client.HTTPException)
# http.client's text for more than 100 headers, or one of more than 64 KB; it has no class of its own for the first.
_TOO_MANY_HEADERS = re.compile(r"got more than \d+ (?:headers|bytes when reading header line)")


class Timeouts(NamedTuple):
    """Timeouts in seconds.

    Attributes:
        connect: for DNS, TCP, the proxy and TLS together, over all addresses of the name.
        read: for each wait for data.
    """

    connect: float
    read: float


class _IdleConnection(NamedTuple):
    origin: Origin
    connection: http.client.HTTPConnection
    # Wall-clock time, which includes the time in which the sandbox is frozen.
    since: float


class _Pool:
    """Idle connections, the most recent last."""

    def __init__(self) -> None:
        self._idle: list[_IdleConnection] = []
        self._lock = threading.Lock()

    def put(self, origin: Origin, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._idle.append(_IdleConnection(origin, connection, time.time()))
            oldest = self._idle.pop(0) if len(self._idle) > MAX_IDLE_CONNECTIONS else None
        if oldest:
            oldest.connection.close()

    def take(self, origin: Origin) -> http.client.HTTPConnection | None:
        """The most recent usable connection to an origin; None if there is none."""
        while idle := self._pop(origin):
            if 0 <= time.time() - idle.since <= MAX_IDLE_SECONDS and not _is_readable(idle.connection):
                return idle.connection
            idle.connection.close()
        return None

    def _pop(self, origin: Origin) -> _IdleConnection | None:
        with self._lock:
            number = next((n for n in reversed(range(len(self._idle))) if self._idle[n].origin == origin), None)
            return None if number is None else self._idle.pop(number)

    def clear(self) -> None:
        with self._lock:
            cleared, self._idle = self._idle, []
        for idle in cleared:
            idle.connection.close()


class HttpResponse:
    """An HTTP response whose body is read on demand.

    Use it as a context manager. On exit, the connection is reused if the body was read to its end, else closed.
    """

    def __init__(
        self,
        response: http.client.HTTPResponse,
        connection: http.client.HTTPConnection,
        reuse: Callable[[http.client.HTTPConnection], None],
    ) -> None:
        self.status = response.status
        self._response = response
        self._connection = connection
        self._reuse = reuse

    def header(self, name: str) -> str | None:
        """A header by its name, case-insensitive."""
        return self._response.headers.get(name)

    def headers(self, prefix: str) -> dict[str, str]:
        """The headers whose names begin with a prefix, by the rest of their names in lower case."""
        found = ((name.lower(), value) for name, value in self._response.headers.items())
        return {name.removeprefix(prefix): value for name, value in found if name.startswith(prefix)}

    @property
    def length(self) -> int | None:
        """The `Content-Length`; None without a valid one."""
        text = self._response.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    def read(self, amount: int | None = None) -> bytes:
        """Read up to `amount` bytes, or the whole body; empty at the end.

        Raises:
            NetworkError: the body is incomplete.
        """
        try:
            data = self._response.read(amount)
        except _ERRORS as error:
            self._connection.close()
            raise NetworkError(f"reading the response body: {error or type(error).__name__}") from None
        if not data and self._response.length:
            self._connection.close()
            raise NetworkError(f"reading the response body: {self._response.length} bytes are missing")
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._response.length == 0:  # http.client does not close a response with an empty body by itself
            self._response.close()
        if self._response.isclosed() and self._connection.sock:
            self._reuse(self._connection)
        else:
            self._response.close()
            self._connection.close()


class Connections:
    """All connections of a process; thread-safe."""

    def __init__(self, timeouts: Timeouts, environment: Mapping[str, str] = os.environ) -> None:
        self._timeouts = timeouts
        self._certificates = CertificateStore(environment)
        self._pool = _Pool()

    def send(
        self, endpoint: Endpoint, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> HttpResponse:
        """Send a request over an idle connection, or a new one.

        Raises:
            StaleError: the server had closed the idle connection; all other idle connections are closed too.
            TooManyHeadersError: the response has more headers, or a longer one, than http.client reads.
            NetworkError: no response, or one that is not HTTP.
        """
        proxy = proxy_for(endpoint)
        if proxy and endpoint.scheme == "http":  # with TLS, `_new_connection` sets up a tunnel instead
            target, headers = f"http://{endpoint.authority}{target}", {**headers, **proxy.headers}
        origin = (endpoint.scheme, endpoint.host, endpoint.port)
        idle = self._pool.take(origin)
        try:
            connection = idle or self._connect(endpoint, proxy)
            response = _send_request(connection, method, target, headers, body)
        except _ERRORS as error:
            text = f"{endpoint.authority}: {error or type(error).__name__}"
            if idle and isinstance(error, (ConnectionError, ssl.SSLError)):
                self._pool.clear()
                raise StaleError(text) from None
            if _TOO_MANY_HEADERS.match(str(error)):
                raise TooManyHeadersError(text) from None
            raise NetworkError(text) from None
        return HttpResponse(response, connection, partial(self._pool.put, origin))

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.clear()

    def _connect(self, endpoint: Endpoint, proxy: Proxy | None) -> http.client.HTTPConnection:
        deadline = time.monotonic() + self._timeouts.connect
        try:
            return self._connect_once(endpoint, proxy, deadline)
        except ssl.SSLCertVerificationError:
            if not self._certificates.load_remaining():
                raise
            return self._connect_once(endpoint, proxy, deadline)

    def _connect_once(self, endpoint: Endpoint, proxy: Proxy | None, deadline: float) -> http.client.HTTPConnection:
        host, port = (proxy.host, proxy.port) if proxy else (endpoint.host, endpoint.port)
        sock = open_socket(host, port, deadline)
        try:
            if endpoint.scheme == "https":
                if proxy:
                    open_tunnel(sock, f"{endpoint.bracketed_host}:{endpoint.port}", proxy.headers, deadline)
                # The socket's timeout is one deadline for the whole handshake.
                sock = self._certificates.context().wrap_socket(sock, server_hostname=endpoint.host)
        except BaseException:
            sock.close()
            raise
        sock.settimeout(self._timeouts.read)
        connection = http.client.HTTPConnection(host, port)
        connection.auto_open = 0  # otherwise it could open a connection of its own, without TLS
        connection.sock = sock
        return connection


def _send_request(
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


def _is_readable(connection: http.client.HTTPConnection) -> bool:
    """Whether an idle connection has data to read, which means that the server has closed it."""
    try:
        return bool(select.select([connection.sock], [], [], 0)[0])
    except (OSError, ValueError):
        return True
