"""The test card: an image whose vector verifies a model.

It is drawn in integer arithmetic, so that every machine gets the same bytes. It is not square (to detect a wrong crop),
not symmetric (to detect a flip), its channels differ (to detect a swap), and it has smooth and sharp details (to detect
another interpolation).
"""

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 360, 270


def draw_test_card() -> npt.NDArray[np.uint8]:
    """Draw the test card: uint8 RGB, shape (270, 360, 3)."""
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
