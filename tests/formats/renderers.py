"""Two independent renderers: libvips, by pyvips, and ImageMagick, by its command. Each shows a file upright over white."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

MOST_SECONDS = 60

# Formats that ImageMagick would guess wrong from the first bytes alone, or that carry the picture behind a thumbnail.
_PREFIXES = {"jpeg": "jpeg", "png": "png", "gif": "gif", "bmp": "bmp", "tiff": "tiff", "webp": "webp"}


class UnreadableError(Exception):
    """A renderer does not open the file."""


def magick_command() -> str:
    """The command of ImageMagick 7, or of 6.

    Raises:
        UnreadableError: neither is installed.
    """
    found = shutil.which("magick") or shutil.which("convert")
    if found is None:
        raise UnreadableError("ImageMagick is not installed: apt-get install imagemagick")
    return found


def with_magick(data: bytes, name: str | None) -> Pixels:
    """The first picture of a file as ImageMagick shows it, (height, width, 3).

    Raises:
        UnreadableError: ImageMagick does not open it.
    """
    options = ["-auto-orient", "-background", "white", "-flatten", "-alpha", "off", "-colorspace", "sRGB"]
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "picture", Path(folder) / "out.ppm"
        path.write_bytes(data)
        prefix = f"{_PREFIXES[name]}:" if name in _PREFIXES else ""
        command = [magick_command(), f"{prefix}{path}[0]", *options, "-depth", "8", f"ppm:{out}"]
        try:
            done = subprocess.run(command, capture_output=True, timeout=MOST_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise UnreadableError("ImageMagick took too long") from None
        if done.returncode != 0 or not out.exists():
            raise UnreadableError(done.stderr.decode("utf-8", "replace").strip()[:200])
        with Image.open(out) as opened:
            return np.asarray(opened.convert("RGB"))


def with_vips(data: bytes, _name: str | None) -> Pixels:
    """The first picture of a file as libvips shows it, (height, width, 3).

    Raises:
        UnreadableError: libvips does not open it.
    """
    import pyvips

    try:
        image: Any = pyvips.Image.new_from_buffer(data, "").autorot()
        if image.interpretation not in {"srgb", "b-w"} or image.format != "uchar":
            image = image.colourspace("srgb")
        if image.hasalpha():
            image = image.flatten(background=[255, 255, 255])
        if image.bands < 3:
            image = image.extract_band(0).bandjoin([image.extract_band(0)] * 2)
        image = image.extract_band(0, n=3).cast("uchar")
        return np.frombuffer(image.write_to_memory(), np.uint8).reshape(image.height, image.width, 3)
    except pyvips.Error as error:
        raise UnreadableError(" ".join(str(error).split())[:200]) from None


RENDERERS = {"libvips": with_vips, "ImageMagick": with_magick}
