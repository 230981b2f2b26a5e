"""CIE L*a*b* -> sRGB, as libvips and ImageMagick convert it: the white of the one is the white of the other (D65)."""

import functools

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# IEC 61966-2-1, from CIE XYZ; and its white.
_TO_LINEAR = np.array(
    [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]],
    np.float32,
)
_WHITE = np.array([0.95047, 1.0, 1.08883], np.float32)

_STEPS = 1 << 16


def lab_to_rgb(lightness: Floats, green_red: Floats, blue_yellow: Floats) -> npt.NDArray[np.uint8]:
    """L (0 to 100), a and b (-128 to 128), each (H, W) -> (H, W, 3)."""
    middle = (lightness + 16) / 116
    roots = np.stack([middle + green_red / 500, middle, middle - blue_yellow / 200], axis=-1)
    xyz = np.where(roots > 6 / 29, roots**3, (roots - 4 / 29) * np.float32(3 * (6 / 29) ** 2)) * _WHITE
    linear = np.clip(xyz @ _TO_LINEAR.T, 0, 1)
    rgb: npt.NDArray[np.uint8] = _gamma()[(linear * (_STEPS - 1)).astype(np.uint16)]
    return rgb


@functools.cache
def _gamma() -> npt.NDArray[np.uint8]:
    """8 bits of sRGB for each step of linear light."""
    linear = np.arange(_STEPS) / (_STEPS - 1)
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    steps: npt.NDArray[np.uint8] = np.rint(255 * curve).astype(np.uint8)
    return steps
