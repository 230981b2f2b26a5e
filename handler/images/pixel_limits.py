"""How many pixels are decoded: those of the setting, or others where a decoder needs more or less for each.

The measure is 1 GiB and 5 s for 100 million pixels of the cheapest kind that is decoded in full.
"""

from handler.errors import RejectedError, Rejection
from handler.frozen import frozen

# How many times a pixel counts. The decoders of these hold a picture several times over.
_WEIGHTS = {"webp": 2, "avif": 2, "heic": 2, "heif": 2}
# HEVC's decoder spends its time on bits: a phone's photo has 1 or 2 to a pixel, a camera's 4, noise 12.
_HEVC = {"heic", "heif"}
_DENSE_WEIGHT, _DENSE_BITS = 4, 6
# libtiff unpacks a strip, which may be the whole picture, before 8 bits of each sample are taken. Lab is slow.
_TIFF_BITS, _LAB_WEIGHT = 32, 4
# Of several scans, every coefficient waits for the last one: for as many as 2 to a pixel there is room.
_FULL_COLOUR_SCANS_WEIGHT, _MOST_SAMPLES = 2, 2
# At a reduced scale the pixels of a JPEG in one scan cost time, but no memory: 400 million of them about 1 s.
_SCALED_WEIGHT = 0.25
# Run lengths are decoded in Python.
_RUN_LENGTH_WEIGHT = 20
_RUN_LENGTH_MOST_BYTES, _RUN_LENGTH_EXTRA = 4, 1 << 16  # a pixel; header and palette

# However few pixels there are: a row has a cost of its own, and Pillow counts the bits in one with 31.
_MOST_SIDE = 10_000_000


@frozen
class Limits:
    """What a decoder may do.

    Attributes:
        max_pixels: more are refused.
        enough: what the shortest side must keep where a decoder can leave detail out by itself, pixels; None: all.
    """

    max_pixels: int
    enough: int | None


def refuse_too_many(size: tuple[int, int], weight: float, max_pixels: int) -> None:
    """Refuse a picture by its size.

    Args:
        size: (width, height), pixels.
        weight: how many times a pixel counts.
        max_pixels: the setting.

    Raises:
        RejectedError: `too_many_pixels`.
    """
    width, height = size
    if width * height * weight > max_pixels or max(size) > _MOST_SIDE:
        found = f"{width} x {height} is {width * height} pixels"
        allowed = f"{int(max_pixels / weight)}{' of its kind' if weight != 1 else ''}, or {_MOST_SIDE} to a side,"
        raise RejectedError(Rejection.TOO_MANY_PIXELS, f"{found}, more than the {allowed} allowed")


def jpeg_weight(
    samplings: list[tuple[int, int]], size: tuple[int, int], decoded: tuple[int, int], *, several_scans: bool
) -> float:
    """How many times a pixel of a JPEG counts.

    Args:
        samplings: of each component its sampling factors.
        size: (width, height), pixels.
        decoded: likewise, at the scale at which its decoder decodes it.
        several_scans: it has more than one.
    """
    samples = [across * down for across, down in samplings]
    if several_scans:
        return _FULL_COLOUR_SCANS_WEIGHT if sum(samples) > _MOST_SAMPLES * max(samples) else 1
    return max(_SCALED_WEIGHT, decoded[0] * decoded[1] / (size[0] * size[1]))


def tiff_weight(bits_per_pixel: int, *, is_lab: bool) -> int:
    """How many times a pixel of a TIFF counts."""
    return max(-(-bits_per_pixel // _TIFF_BITS), _LAB_WEIGHT if is_lab else 1)


def run_length_weight(size: tuple[int, int], data_bytes: int) -> int:
    """How many times a pixel of a BMP with run lengths counts.

    Raises:
        ValueError: the file is larger than its pixels can explain.
    """
    if data_bytes > _RUN_LENGTH_MOST_BYTES * size[0] * size[1] + _RUN_LENGTH_EXTRA:
        raise ValueError("more data than its pixels need")
    return _RUN_LENGTH_WEIGHT


def weight_of(name: str, size: tuple[int, int] = (0, 0), data_bytes: int = 0) -> int:
    """How many times a pixel of any other format counts; size and bytes matter for HEIC and HEIF."""
    if name in _HEVC and 8 * data_bytes > _DENSE_BITS * size[0] * size[1]:
        return _DENSE_WEIGHT
    return _WEIGHTS.get(name, 1)
