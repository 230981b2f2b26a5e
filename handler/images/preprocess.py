"""RGB picture -> input tensor, exactly as the model's reference does it. Pure functions; every number is data.

The geometry is torchvision's `Resize(size)` on the shortest side and `CenterCrop(size)`
(torchvision/transforms/functional.py): the long side is truncated, `int(size * long / short)`, and the crop offset is
`int(round((n - size) / 2.0))`, with Python's rounding of halves to even. Pillow's filters antialias when they shrink.
"""

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from handler.frozen import frozen

if TYPE_CHECKING:
    from PIL import Image

Tensor = npt.NDArray[np.float32]

# The values of `PIL.Image.Resampling`. Pillow is not imported here: that takes 40 ms, and a text needs only the spec.
INTERPOLATIONS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}

# A picture may be decoded at a reduced scale as long as this many of its pixels are left for each one of the resized
# picture: the vector then stays the same to a cosine of 0.999 (`tests/bench/reduced.py`).
DETAIL = 4

# Above this many pixels a resized picture is never made whole: a strip of 60,000 x 2 would become 6,720,000 x 224.
MAX_RESIZED_PIXELS = 32_000_000


@frozen
class Preprocess:
    """How a model wants its pixels; comes from `model.json`.

    Attributes:
        input_size: side of the square input, pixels.
        resize_size: what the shortest side becomes before the centre is cropped, pixels; at least `input_size`.
        resize_mode: `shortest_side`, the only one.
        interpolation: a key of `INTERPOLATIONS`.
        channel_order: `rgb` or `bgr`.
        divisor: pixels (0 to 255) are divided by it first.
        mean: subtracted next, by channel of `channel_order`.
        std: divided by last, by channel of `channel_order`.
    """

    input_size: int
    resize_size: int
    resize_mode: Literal["shortest_side"]
    interpolation: str
    channel_order: Literal["rgb", "bgr"]
    divisor: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def enough(self) -> int:
        """How long the shortest side of a picture must be, pixels, for nothing to be missing."""
        return DETAIL * self.resize_size


def to_tensor(picture: "Image.Image", how: Preprocess, shown: tuple[int, int] | None = None) -> Tensor:
    """Turn an upright RGB picture into float32 of shape (1, 3, input_size, input_size).

    Args:
        picture: the picture.
        how: the model's preprocessing.
        shown: (width, height) of the picture in full, where the decoder has left detail out; None: as it is.
    """
    pixels = np.asarray(resize_and_crop(picture, how, shown))
    if how.channel_order == "bgr":
        pixels = pixels[:, :, ::-1]
    return normalize(pixels, how)


def resize_and_crop(picture: "Image.Image", how: Preprocess, shown: tuple[int, int] | None = None) -> "Image.Image":
    """Bring the shortest side to `resize_size` and keep the centre `input_size` x `input_size`; see `to_tensor`."""
    size, interpolation = how.input_size, INTERPOLATIONS[how.interpolation]
    resized = resized_size(shown or picture.size, how.resize_size)
    left, top = (crop_offset(side, size) for side in resized)
    if resized[0] * resized[1] > MAX_RESIZED_PIXELS:
        return _resize_centre(picture, size, interpolation, resized, (left, top))
    whole = picture.resize(resized, interpolation)
    return whole.crop((left, top, left + size, top + size))


def resized_size(shape: tuple[int, int], size: int) -> tuple[int, int]:
    """(width, height) after the shortest side has become `size`; the long side is truncated."""
    width, height = shape
    if width <= height:
        return size, int(size * height / width)
    return int(size * width / height), size


def crop_offset(side: int, size: int) -> int:
    """First row or column of the centre crop."""
    return int(round((side - size) / 2.0))  # noqa: RUF046 - the reference's own expression, kept letter by letter


def _resize_centre(
    picture: "Image.Image",
    size: int,
    interpolation: int,
    resized: tuple[int, int],
    offset: tuple[int, int],
) -> "Image.Image":
    """Resize only what the crop keeps: for extreme strips, where the whole would not fit into memory."""
    scale = [picture.size[axis] / resized[axis] for axis in (0, 1)]
    start = [offset[axis] * scale[axis] for axis in (0, 1)]
    stop = [min((offset[axis] + size) * scale[axis], picture.size[axis]) for axis in (0, 1)]
    return picture.resize((size, size), interpolation, box=(start[0], start[1], stop[0], stop[1]))


def normalize(pixels: npt.NDArray[np.uint8], how: Preprocess) -> Tensor:
    """`(pixel / divisor - mean) / std` in float32, channels first: (H, W, 3) -> (1, 3, H, W)."""
    tensor = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)[np.newaxis]
    if how.divisor != 1:
        tensor /= np.float32(how.divisor)
    if any(how.mean):
        tensor -= np.asarray(how.mean, dtype=np.float32).reshape(1, 3, 1, 1)
    if any(value != 1 for value in how.std):
        tensor /= np.asarray(how.std, dtype=np.float32).reshape(1, 3, 1, 1)
    return tensor
