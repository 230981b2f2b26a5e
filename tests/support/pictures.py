"""Generated test images."""

import io
from typing import Any

import numpy as np
from PIL import Image

from handler.model.test_card import draw_test_card


def picture(width: int = 64, height: int = 48, *, seed: int = 0) -> Image.Image:
    """A smooth RGB image without symmetry; each seed gives another image."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def card() -> Image.Image:
    """The test card, which verifies models."""
    return Image.fromarray(draw_test_card())


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """An image encoded as a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
