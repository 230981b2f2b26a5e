"""Any mode of Pillow -> RGB, over white.

In strips: a picture is in memory twice at the most, and a strip fits a cache.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from handler.images.alpha import image_over_white

_STRIP_PIXELS = 500_000

Box = tuple[int, int, int, int]  # left, top, right, bottom


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a picture; of integers of 16 bits the upper 8 are kept."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    convert = _conversion(image)
    boxes = list(strips(image.size))
    if len(boxes) == 1:
        return convert(image)
    rgb = Image.new("RGB", image.size)
    for box in boxes:
        rgb.paste(convert(image.crop(box)), box)
    return rgb


def strips(size: tuple[int, int]) -> Iterator[Box]:
    """Cut a picture up: in strips, or where even one row is too long, in parts of rows."""
    columns = min(size[0], _STRIP_PIXELS)
    rows = max(1, _STRIP_PIXELS // columns)
    for top in range(0, size[1], rows):
        for left in range(0, size[0], columns):
            yield left, top, min(left + columns, size[0]), min(top + rows, size[1])


def _conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    if image.mode.startswith("I"):
        return lambda strip: _grey(np.asarray(strip) >> 8)
    if image.has_transparency_data:
        return image_over_white
    return lambda strip: strip.convert("RGB")


def _grey(values: npt.NDArray[Any]) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")
