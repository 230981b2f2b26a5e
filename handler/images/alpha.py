"""Transparency: colours over white, as in a viewer on a white page."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image


def over_white(
    colours: npt.NDArray[Any], alpha: npt.NDArray[Any], *, premultiplied: bool = False
) -> npt.NDArray[np.uint8]:
    """Colours (H, W, 1 or 3) under alpha (H, W, 1), all uint8, over white; fractions are cut off, as libvips does."""
    if alpha.min(initial=255) == 255:
        return colours.astype(np.uint8, copy=False)
    if alpha.max(initial=0) == 0 and not premultiplied:
        return np.full_like(colours, 255, dtype=np.uint8)
    white = 255 - alpha.astype(np.uint16)
    if premultiplied:
        return np.minimum(colours + white, 255).astype(np.uint8)
    shown = colours * alpha.astype(np.uint16)
    shown += 255 * white
    shown += 1  # x // 255 is (x + 1 + (x + 1) // 256) // 256 for all products of two bytes, which is faster
    shown += shown >> 8
    return (shown >> 8).astype(np.uint8)


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
