"""Pictures drawn by the tests themselves."""

import io
from typing import Any

import numpy as np
from PIL import Image

from handler.model.test_card import testcard as draw_testcard


def picture(width: int = 64, height: int = 48, *, seed: int = 0) -> Image.Image:
    """A smooth RGB picture without symmetry; another one for another seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def card() -> Image.Image:
    """The test card that models are proved with."""
    return Image.fromarray(draw_testcard())


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The file of a picture."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
