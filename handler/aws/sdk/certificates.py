"""Which certificates are trusted."""

import base64
import importlib.util
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path

from handler.errors import SettingsError

_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
# Where Linux distributions keep theirs, for a Python that was built to look elsewhere; Amazon Linux's first.
_SYSTEM = ("/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem")
# Packages that bring a bundle along, for systems that have none.
_PACKAGED = (("certifi", "cacert.pem"), ("botocore", "cacert.pem"))
# What stands in the certificates of AWS's own authorities: https://www.amazontrust.com/repository/
_AWS_NAMES = (b"Amazon Root CA", b"Starfield Services Root")


def check_bundle(environment: Mapping[str, str]) -> None:
    """See that there are certificates: in the file that a variable names, or somewhere.

    Raises:
        SettingsError: there are none.
    """
    for name in _VARIABLES:
        if environment.get(name):
            if not Path(environment[name]).is_file():
                raise SettingsError(
                    f"{name} is {environment[name]!r}, and no file is there; set it to one of certificates"
                )
            return
    if _bundle() is None and not _has_folder():
        raise SettingsError("this system has no certificates to trust; set AWS_CA_BUNDLE to a file of them (PEM)")


class Trust:
    """What `AWS_CA_BUNDLE` says, or the system; and where that has none, a package.

    Reading all certificates of a system takes ten times as long as the handshake that needs one of them. So AWS's own
    are read first, out of the same file, and the others when they are asked for.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._own = next((environment[name] for name in _VARIABLES if environment.get(name)), None)
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._rest: str | None = None

    def context(self) -> ssl.SSLContext:
        """For every connection.

        Raises:
            OSError: the certificates cannot be read.
        """
        with self._lock:
            if self._context is None:
                self._context = self._make()
                self._context.set_alpn_protocols(["http/1.1"])
        return self._context

    def widen(self) -> bool:
        """Read the certificates that were left out; whether there were any."""
        with self._lock:
            rest, self._rest = self._rest, None
            if rest is None or self._context is None:
                return False
            self._context.load_verify_locations(rest)
            return True

    def _make(self) -> ssl.SSLContext:
        if self._own is not None:
            return ssl.create_default_context(cafile=self._own)
        bundle = _bundle()
        some = _of_aws(Path(bundle)) if bundle else b""
        if not some:
            return ssl.create_default_context(cafile=bundle)
        self._rest = bundle
        return ssl.create_default_context(cadata=some)


def _of_aws(bundle: Path) -> bytes:
    """AWS's certificates in a PEM file, as DER one behind the other."""
    blocks = bundle.read_text(errors="replace").split("-----BEGIN CERTIFICATE-----")[1:]
    certificates = [base64.b64decode(block.partition("-----END")[0]) for block in blocks]
    return b"".join(one for one in certificates if any(name in one for name in _AWS_NAMES))


def _bundle() -> str | None:
    """A file of all certificates; None where there is none, or the system has a folder of them instead."""
    found = ssl.get_default_verify_paths().cafile
    if found or _has_folder():
        return found
    return next((path for path in _SYSTEM if Path(path).is_file()), None) or _packaged()


def _has_folder() -> bool:
    folder = ssl.get_default_verify_paths().capath
    return folder is not None and any(Path(folder).iterdir())


def _packaged() -> str | None:
    for package, name in _PACKAGED:
        found = importlib.util.find_spec(package)
        if found and found.origin:
            return str(Path(found.origin).with_name(name))
    return None
