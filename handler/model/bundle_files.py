"""Checks that the files of a bundle are those that `model.json` describes; without onnxruntime."""

import hashlib
from pathlib import Path

from handler.errors import BundleError
from handler.model.spec import BundleFile

# Hashing all weights would take too long in a cold start; hashing a sample takes almost no time.
_SAMPLES, _SAMPLE_BYTES = 32, 4096


def check_bytes(bundle: Path, file: BundleFile) -> None:
    """Check a file's size and SHA-256.

    Raises:
        BundleError: the file is missing or does not match `model.json`.
    """
    check_size(bundle, file)
    with (bundle / file.name).open("rb") as opened:
        _compare(bundle, file, hashlib.file_digest(opened, "sha256").hexdigest())


def check_sample(bundle: Path, file: BundleFile) -> None:
    """Check a file's size and the SHA-256 of a sample.

    Raises:
        BundleError: see `check_bytes`.
    """
    check_size(bundle, file)
    _compare(bundle, file, sample_sha256(bundle / file.name))


def check_size(bundle: Path, file: BundleFile) -> None:
    """Check a file's size only.

    Raises:
        BundleError: see `check_bytes`.
    """
    path = bundle / file.name
    if not path.is_file():
        raise BundleError(f"{path} is missing; bake the bundle again")
    if path.stat().st_size != file.bytes:
        raise BundleError(f"{path} has {path.stat().st_size} bytes; expected {file.bytes}; bake the bundle again")


def sample_sha256(path: Path) -> str:
    """SHA-256, hex, of 32 evenly spaced pieces of 4 KiB of a file, including its beginning and its end."""
    last = max(0, path.stat().st_size - _SAMPLE_BYTES)
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        for number in range(_SAMPLES):
            file.seek(last * number // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _compare(bundle: Path, file: BundleFile, found: str) -> None:
    if found != file.sha256:
        raise BundleError(f"{bundle / file.name} does not have the SHA-256 in model.json; bake the bundle again")
