"""The HTTP proxy for a server, if the environment configures one."""

import base64
import os
import sys
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from handler.aws.sdk.endpoints import Endpoint
from handler.errors import SettingsError

_DEFAULT_PORT = 80


class Proxy(NamedTuple):
    """A proxy, reached over plain HTTP; TLS goes through it in a tunnel.

    Attributes:
        host: host name or IP endpoint.
        port: TCP port.
        headers: headers for the proxy, with its credentials.
    """

    host: str
    port: int
    headers: dict[str, str]


def proxy_for(endpoint: Endpoint) -> Proxy | None:
    """The proxy for a server, from `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY` and, on a desktop, the system's settings.

    Raises:
        SettingsError: the proxy's URL is invalid or unsupported.
    """
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - most functions have no proxy

    url = getproxies().get(endpoint.scheme)
    if not url or proxy_bypass(endpoint.authority):
        return None
    return _parse(url if "://" in url else f"http://{url.removeprefix('//')}")


def _parse(url: str) -> Proxy:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _DEFAULT_PORT
    except ValueError:
        parts, host, port = urlsplit(""), None, 0
    if parts.scheme != "http" or not host:
        # The message leaves the URL out, because it may contain a password.
        raise SettingsError(
            "HTTP_PROXY or HTTPS_PROXY is not a supported URL; set it to http://[user:password@]host[:port]"
        )
    if not parts.username or not parts.password:
        return Proxy(host, port, {})
    user = f"{unquote(parts.username)}:{unquote(parts.password)}"
    return Proxy(host, port, {"Proxy-Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"})
