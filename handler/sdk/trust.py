"""Which certificates are trusted."""

import importlib.util
import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from handler.errors import SettingsError

_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
# Packages that bring a bundle along, for systems that have none.
_PACKAGED = (("certifi", "cacert.pem"), ("botocore", "cacert.pem"))


def check_bundle(environment: Mapping[str, str]) -> None:
    """See that the file that a variable names is there.

    Raises:
        SettingsError: it is not.
    """
    for name in _VARIABLES:
        if environment.get(name) and not Path(environment[name]).is_file():
            raise SettingsError(f"{name} is {environment[name]!r}, and no file is there; set it to one of certificates")


def make_context(environment: Mapping[str, str]) -> ssl.SSLContext:
    """What `AWS_CA_BUNDLE` says, or the system; and where that has none, a package.

    Raises:
        OSError: the bundle cannot be read.
    """
    bundle = next((environment[name] for name in _VARIABLES if environment.get(name)), None) or _packaged()
    context = ssl.create_default_context(cafile=bundle)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _packaged() -> str | None:
    system = ssl.get_default_verify_paths()
    if system.cafile or (system.capath and any(os.scandir(system.capath))):
        return None
    for package, name in _PACKAGED:
        found = importlib.util.find_spec(package)
        if found and found.origin:
            return str(Path(found.origin).with_name(name))
    return None
