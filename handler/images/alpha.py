"""Transparency: colours over white, as in a viewer on a white page."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image


def over_white(
    colours: npt.NDArray[Any], alpha: npt.NDArray[Any], *, premultiplied: bool = False
) -> npt.NDArray[np.uint8]:
    """Colours (H, W, 1 or 3) under alpha (H, W, 1), all uint8, over white; fractions are cut off, as libvips does."""
    white = 255 - alpha.astype(np.uint16)
    if premultiplied:
        return np.minimum(colours + white, 255).astype(np.uint8)
    return ((colours * alpha.astype(np.uint16) + 255 * white) // 255).astype(np.uint8)


def image_over_white(image: Image.Image) -> Image.Image:
    """A picture of any mode with transparency, over white; RGB."""
    premultiplied = image.mode in {"RGBa", "La"}
    pixels = np.asarray(image if image.mode in {"RGBA", "LA", "RGBa", "La"} else image.convert("RGBA"))
    shown = over_white(pixels[..., :-1], pixels[..., -1:], premultiplied=premultiplied)
    return rgb_image(shown)


def rgb_image(colours: npt.NDArray[np.uint8]) -> Image.Image:
    """RGB of grey or colours, (H, W, 1 or 3)."""
    if colours.shape[2] == 1:
        return Image.fromarray(np.ascontiguousarray(colours[..., 0])).convert("RGB")
    return Image.fromarray(np.ascontiguousarray(colours))
