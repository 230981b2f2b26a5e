"""Ask for the acceptance of a licence that a manifest does not pin, before anything is built.

Standard library only, because the command `image` needs no packages.
"""

import hashlib
import os
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infra.common.errors import CheckError, first_line
from infra.common.paths import MANIFESTS

_LINES_SHOWN = 12
_MAX_BYTES = 1 << 20
_SECONDS = 30.0


def accepted_licence(
    model: str, accepted: Collection[str], mirror: str | None, confirm: Callable[[str], bool]
) -> str | None:
    """The hash of the licence that the bake needs as accepted, in addition to `accepted`; None if it needs none.

    Args:
        model: the name of a manifest in infra/manifests, the path of a manifest, or a bundle's directory.
        accepted: hashes of files, SHA-256, hex, that the user has accepted.
        mirror: replaces the scheme and host of the licence's URL.
        confirm: asks the user.

    Raises:
        CheckError: the licence cannot be downloaded, or was not accepted.
    """
    manifest = _manifest(model)
    licence = manifest.get("licence", {})
    file = licence.get("file", {})
    if manifest.get("source", {}).get("kind") != "url" or not file or file.get("sha256"):
        return None
    url = _url(manifest["source"]["base"], file["path"], mirror)
    text = _download(url, model)
    sha256 = hashlib.sha256(text).hexdigest()
    if sha256 in {one.lower() for one in accepted}:
        return None
    print(f"The weights of {model} have the licence {licence['spdx']}. {licence.get('summary', '')}".rstrip())
    lines = [line.rstrip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    print("\n".join(f"  | {line}" for line in lines[:_LINES_SHOWN]))
    if len(lines) > _LINES_SHOWN:
        print(f"  | … {len(lines) - _LINES_SHOWN} more lines: {url}")
    if not confirm("Do you accept this licence?"):
        raise CheckError(
            f"nothing was built, because the licence of {model} was not accepted; to accept it without a question, "
            f"add --accept {sha256} (make image BAKE='--accept …')"
        )
    return sha256


def _manifest(model: str) -> dict[str, Any]:
    """A model's manifest; empty for a bundle, and for what is no manifest, which the build reports."""
    path = Path(model) if model.endswith(".toml") else MANIFESTS / f"{model}.toml"
    if (Path(model) / "model.json").is_file():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def _url(base: str, path: str, mirror: str | None) -> str:
    url = path if "://" in path else f"{base.rstrip('/')}/{path}"
    if not mirror:
        return url
    parts = urlsplit(url)
    return mirror.rstrip("/") + parts.path + (f"?{parts.query}" if parts.query else "")


def _download(url: str, model: str) -> bytes:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise CheckError(f"the licence's URL {url} is not valid; use one that starts with https:// or http://")
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "dropvec"})  # noqa: S310 - checked above
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - likewise
            text: bytes = answer.read(_MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) and error.reason else error
        raise CheckError(
            f"the licence of {model} could not be downloaded from {url}: {first_line(Exception(reason))}; check the "
            "network, or use a mirror (--mirror, DROPVEC_MIRROR)"
        ) from None
    return text


def mirror_of(given: str | None) -> str | None:
    """The mirror to use: as given, else DROPVEC_MIRROR, else None."""
    return given or os.environ.get("DROPVEC_MIRROR") or None
