"""Two independent renderers: libvips, by pyvips, and ImageMagick, by its command.

Each shows the first picture of a file upright, over white.
"""

import io
import shutil
import subprocess
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

MOST_SECONDS = 60
MAX_PIXELS = 100_000_000

# A header may claim any size: ImageMagick gives up instead of taking all memory, or the disk.
_LIMITS = ("-limit", "memory", "2GiB", "-limit", "map", "2GiB", "-limit", "disk", "0")

# Formats that ImageMagick would not know by their first bytes alone.
_NAMED = {"jpeg", "png", "gif", "bmp", "tiff", "webp"}


class UnreadableError(Exception):
    """A renderer does not open the file."""


def with_magick(data: bytes, name: str | None) -> Pixels:
    """The picture as ImageMagick 6 or 7 shows it, (height, width, 3).

    Args:
        data: the file.
        name: its format, where that is known.

    Raises:
        UnreadableError: ImageMagick does not open it, or is not installed.
    """
    command = shutil.which("magick") or shutil.which("convert")
    if command is None:
        raise UnreadableError("ImageMagick is not installed: apt-get install imagemagick")
    options = [
        "-auto-orient",
        "-background",
        "white",
        "-flatten",
        "-alpha",
        "off",
        "-colorspace",
        "sRGB",
        "-depth",
        "8",
    ]
    source = f"{name}:-[0]" if name in _NAMED else "-[0]"
    try:
        arguments = [command, *_LIMITS, source, *options, "ppm:-"]
        done = subprocess.run(arguments, input=data, capture_output=True, timeout=MOST_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UnreadableError("ImageMagick took too long") from None
    if done.returncode != 0 or not done.stdout:
        raise UnreadableError(" ".join(done.stderr.decode("utf-8", "replace").split())[:200])
    with Image.open(io.BytesIO(done.stdout)) as opened:
        return np.asarray(opened.convert("RGB"))


def with_vips(data: bytes, _name: str | None) -> Pixels:
    """The picture as libvips shows it, (height, width, 3).

    Raises:
        UnreadableError: libvips does not open it.
    """
    import pyvips

    try:
        image: Any = pyvips.Image.new_from_buffer(data, "").autorot()
        if image.width * image.height > MAX_PIXELS:
            raise UnreadableError(f"{image.width} x {image.height} pixels")
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
