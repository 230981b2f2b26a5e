"""A picture that is the same everywhere: what a model makes of it proves the model.

Drawn with integer arithmetic alone, so that every machine gets the same bytes. It is not square (a wrong crop shows),
has no mirror symmetry (a flip shows), differs by channel (a swap shows) and holds both smooth and sharp detail
(another interpolation shows).
"""

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 360, 270


def testcard() -> npt.NDArray[np.uint8]:
    """Draw the picture: uint8 RGB, shape (270, 360, 3)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.int64)
    red = x * 255 // (WIDTH - 1)
    green = y * 255 // (HEIGHT - 1)
    blue = (x * y // 97 + 3 * x) % 256
    picture = np.stack([red, green, blue], axis=-1)

    disc = (x - 120) ** 2 + (y - 110) ** 2 < 62**2
    picture[disc] = (236, 64, 38)
    ring = np.abs((x - 255) ** 2 + (y - 150) ** 2 - 58**2) < 1300
    picture[ring] = (20, 48, 140)
    checks = (x > 40) & (x < 170) & (y > 190) & (y < 250)
    picture[checks] = np.where(((x // 7 + y // 7) % 2 == 0)[checks, None], 245, 16)
    stripes = (x > 215) & (x < 330) & (y > 20) & (y < 75)
    picture[stripes, 1] = np.where((x * 2 + y) // 5 % 2 == 0, 250, 30)[stripes]
    return picture.astype(np.uint8)
