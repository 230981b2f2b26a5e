"""The proxy that stands before a server, if the environment names one."""

import base64
import os
import sys
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from handler.aws.sdk.endpoints import Address
from handler.errors import SettingsError

_DEFAULT_PORT = 80


class Proxy(NamedTuple):
    """A proxy that is spoken to in plain HTTP, also where it passes TLS on.

    Attributes:
        host: its name or number.
        port: its TCP port.
        headers: what it wants to hear: whose traffic this is.
    """

    host: str
    port: int
    headers: dict[str, str]


def proxy_for(address: Address) -> Proxy | None:
    """The proxy for a server, by `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY` and, on a desktop, the system's settings.

    Raises:
        SettingsError: it is none that can be used.
    """
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - most functions have no proxy

    url = getproxies().get(address.scheme)
    if not url or proxy_bypass(address.authority):
        return None
    return _parse(url if "://" in url else f"http://{url.removeprefix('//')}")


def _parse(url: str) -> Proxy:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _DEFAULT_PORT
    except ValueError:
        parts, host, port = urlsplit(""), None, 0
    if parts.scheme != "http" or not host:
        # Not told in full: it may hold a password.
        raise SettingsError("HTTP_PROXY or HTTPS_PROXY is not a URL of a proxy; set it to one such as http://host:port")
    if not parts.username or not parts.password:
        return Proxy(host, port, {})
    user = f"{unquote(parts.username)}:{unquote(parts.password)}"
    return Proxy(host, port, {"Proxy-Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"})
