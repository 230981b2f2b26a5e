"""Manifest -> source files on this machine, each with the pinned or an accepted hash."""

import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from infra.bake.download.transfer import Remote, download
from infra.bake.graph import check_size
from infra.bake.manifest import Manifest, SourceFile, files_of
from infra.common import wheels
from infra.common.errors import OperatorError
from infra.common.files import create_folder
from infra.common.hashing import file_sha256
from infra.common.paths import CACHE

MIRROR_VARIABLE = "DROPVEC_MIRROR"


@dataclass(frozen=True)
class Files:
    """A model's source files on this machine.

    Attributes:
        paths: path in the manifest to path on this machine.
        sha256: path in the manifest to SHA-256, hex.
    """

    paths: dict[str, Path] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)

    def path(self, file: SourceFile) -> Path:
        """Where a file is."""
        return self.paths[file.path]

    def hash(self, file: SourceFile) -> str:
        """The SHA-256 of a file, hex."""
        return self.sha256[file.path]


def fetch(
    manifest: Manifest,
    accepted: Collection[str] = (),
    mirror: str | None = None,
    cache: Path = CACHE,
    console: Console | None = None,
) -> Files:
    """Fetch every file that a manifest names.

    Args:
        manifest: the model's manifest.
        accepted: SHA-256, hex, of files that are not pinned in the manifest and that the user accepts.
        mirror: replaces the hosts of the manifest; None for DROPVEC_MIRROR, if it is set.
        cache: where downloaded files are kept.
        console: where progress is shown; None for no output.

    Raises:
        OperatorError: a file cannot be fetched, does not have the pinned hash, or is neither pinned nor accepted.
    """
    wanted = files_of(manifest)
    if manifest.source.kind == "pypi":
        pins = {file.path: file.sha256 for file in wanted}
        paths = wheels.fetch(manifest.source.requirement, pins, cache / manifest.name)
        return Files(dict(zip(pins, paths, strict=True)), pins)
    if manifest.source.kind == "file":
        return _local(manifest, wanted)
    create_folder(cache)
    folder = cache / manifest.name / hashlib.sha256(manifest.source.base.encode()).hexdigest()[:12]
    lower_case = {sha256.lower() for sha256 in accepted}
    return _remote(manifest, folder, lower_case, mirror or os.environ.get(MIRROR_VARIABLE) or None, console)


def _local(manifest: Manifest, wanted: list[SourceFile]) -> Files:
    found = Files()
    for file in wanted:
        path = manifest.folder / file.path
        try:
            check_size(path)
            sha256 = file_sha256(path)
        except OSError as error:
            raise OperatorError(f"{manifest.path} names {path}, which cannot be read ({error.strerror})") from None
        if file.sha256 not in {"", sha256}:
            raise OperatorError(
                f"{path} has sha256 {sha256}, but {manifest.path} pins {file.sha256}; "
                "replace the file or correct the pin"
            )
        found.paths[file.path], found.sha256[file.path] = path, sha256
    return found


def _remote(manifest: Manifest, folder: Path, accepted: set[str], mirror: str | None, console: Console | None) -> Files:
    base = manifest.source.base.rstrip("/")
    found, unverified = Files(), []
    # The licence is small, and may have to be accepted: it comes before everything that is large.
    for file in sorted(files_of(manifest), key=lambda file: file != manifest.licence.file):
        path = folder / _cache_name(file)
        known = file.sha256 or _accepted_sha256(path, accepted)
        url = file.path if "://" in file.path else f"{base}/{file.path}"
        sha256 = download(Remote(url, known or None, file.bytes or None), path, mirror=mirror, console=console)
        if not known and sha256 not in accepted:
            unverified.append((file, sha256))
            if file == manifest.licence.file:
                break
        found.paths[file.path], found.sha256[file.path] = path, sha256
    if unverified:
        raise _unverified_error(manifest, unverified)
    return found


def _cache_name(file: SourceFile) -> str:
    """A file's path in the cache, unique among the files of a source."""
    if "://" not in file.path:
        return file.path
    return f"{hashlib.sha256(file.path.encode()).hexdigest()[:12]}/{file.name}"


def _accepted_sha256(path: Path, accepted: set[str]) -> str:
    """The hash of a file that an earlier run downloaded, if it is among the accepted ones; empty otherwise."""
    sha256 = file_sha256(path) if accepted and path.is_file() else ""
    return sha256 if sha256 in accepted else ""


def _unverified_error(manifest: Manifest, files: list[tuple[SourceFile, str]]) -> OperatorError:
    hashes = ", ".join(f"{file.path} has sha256 {sha256}" for file, sha256 in files)
    options = " ".join(f"--accept {sha256}" for _, sha256 in files)
    return OperatorError(
        f"{manifest.name} is unverified: its manifest does not pin the hash of every file, and {hashes}; if you trust "
        f"these files, bake again with {options}"
    )
