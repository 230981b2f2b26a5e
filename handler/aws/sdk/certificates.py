"""The certificates of trusted authorities."""

import base64
import importlib.util
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path

from handler.errors import SettingsError

_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
# Paths of Linux distributions, Amazon Linux's first, for a Python that was built with another default path.
_SYSTEM_FILES = ("/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem")
# Files of Python packages, for systems without certificates.
_PACKAGE_FILES = (("certifi", "cacert.pem"), ("botocore", "cacert.pem"))
# Names in the certificates of AWS's authorities: https://www.amazontrust.com/repository/
_AWS_NAMES = (b"Amazon Root CA", b"Starfield Services Root")


def require_certificates(environment: Mapping[str, str]) -> None:
    """Check that there is a file of certificates: the one in `AWS_CA_BUNDLE`, or the system's, or a package's.

    Raises:
        SettingsError: there is none.
    """
    for name in _VARIABLES:
        if environment.get(name):
            if not Path(environment[name]).is_file():
                raise SettingsError(
                    f"{name} is {environment[name]!r}, which is not a file; set it to a PEM file of certificates"
                )
            return
    if _find_file() is None and not _has_directory():
        raise SettingsError("this system has no certificates; set AWS_CA_BUNDLE to a PEM file of certificates")


class CertificateStore:
    """The certificates of `AWS_CA_BUNDLE`, of the system, or of a Python package, in this order.

    Loading all certificates of a system takes ten times as long as the handshake that needs one of them. So only those
    of AWS's authorities are loaded from the file at first, and the remaining ones when they are needed.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._custom_file = next((environment[name] for name in _VARIABLES if environment.get(name)), None)
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._remaining_file: str | None = None

    def context(self) -> ssl.SSLContext:
        """The TLS context, the same one for all connections.

        Raises:
            OSError: the certificates cannot be read.
        """
        with self._lock:
            if self._context is None:
                self._context = self._make_context()
                self._context.set_alpn_protocols(["http/1.1"])
        return self._context

    def load_remaining(self) -> bool:
        """Load the certificates that were skipped at first; False if there are none."""
        with self._lock:
            remaining, self._remaining_file = self._remaining_file, None
            if remaining is None or self._context is None:
                return False
            self._context.load_verify_locations(remaining)
            return True

    def _make_context(self) -> ssl.SSLContext:
        if self._custom_file is not None:
            return ssl.create_default_context(cafile=self._custom_file)
        file = _find_file()
        of_aws = _certificates_of_aws(Path(file)) if file else b""
        if not of_aws:
            return ssl.create_default_context(cafile=file)
        self._remaining_file = file
        return ssl.create_default_context(cadata=of_aws)


def _certificates_of_aws(file: Path) -> bytes:
    """The certificates of AWS's authorities in a PEM file, as concatenated DER."""
    blocks = file.read_text(errors="replace").split("-----BEGIN CERTIFICATE-----")[1:]
    certificates = [base64.b64decode(block.partition("-----END")[0]) for block in blocks]
    return b"".join(der for der in certificates if any(name in der for name in _AWS_NAMES))


def _find_file() -> str | None:
    """A file of all certificates; None if there is none, or if the system has a directory of certificates instead."""
    found = ssl.get_default_verify_paths().cafile
    if found or _has_directory():
        return found
    return next((path for path in _SYSTEM_FILES if Path(path).is_file()), None) or _find_in_packages()


def _has_directory() -> bool:
    directory = ssl.get_default_verify_paths().capath
    return directory is not None and any(Path(directory).iterdir())


def _find_in_packages() -> str | None:
    for package, name in _PACKAGE_FILES:
        found = importlib.util.find_spec(package)
        if found and found.origin:
            return str(Path(found.origin).with_name(name))
    return None
