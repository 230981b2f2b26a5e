"""How many pixels are decoded: those of the setting, and fewer where a decoder needs more memory or time for each.

The measure is 1 GiB and 5 s for 100 million pixels of the cheapest kind.
"""

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile

from handler.errors import RejectedError, Rejection
from handler.images.jpeg import has_several_scans

# How many times a pixel counts. The decoders of these hold a picture several times over.
_WEIGHTS = {"webp": 2, "avif": 2, "heic": 2, "heif": 2}
# HEVC's decoder spends its time on bits: a phone's photo has 1 or 2 to a pixel, a camera's 4, noise 12.
_HEVC = {"heic", "heif"}
_DENSE_WEIGHT, _DENSE_BITS = 4, 6
# libtiff unpacks a strip, which may be the whole picture, before Pillow takes 8 bits of each sample. Lab is slow.
_DEEP_WEIGHT, _DEEP_BITS = 2, 32
_BITS_PER_SAMPLE, _SAMPLES_PER_PIXEL = 258, 277
# Of several scans, every coefficient waits for the last one: for as many as 2 to a pixel there is room.
_FULL_COLOUR_SCANS_WEIGHT, _MOST_SAMPLES = 2, 2
# Pillow decodes run lengths in Python.
_RUN_LENGTH_WEIGHT = 20
_RUN_LENGTH_MOST_BYTES, _RUN_LENGTH_EXTRA = 4, 1 << 16  # a pixel; header and palette

# However few pixels there are: a row has a cost of its own, and Pillow counts the bits in one with 31.
_MOST_SIDE = 10_000_000


def refuse_too_many(size: tuple[int, int], weight: int, max_pixels: int) -> None:
    """Refuse a picture by its size.

    Raises:
        RejectedError: `too_many_pixels`.
    """
    width, height = size
    if width * height * weight > max_pixels or max(size) > _MOST_SIDE:
        found = f"{width} x {height} is {width * height} pixels"
        allowed = f"{max_pixels // weight}{' of its kind' if weight > 1 else ''}, or {_MOST_SIDE} to a side,"
        raise RejectedError(Rejection.TOO_MANY_PIXELS, f"{found}, more than the {allowed} allowed")


def weight_of(name: str, opened: Image.Image | None, size: tuple[int, int], data: bytes) -> int:
    """How many times a pixel of a file counts; `opened` by Pillow, unless it cannot.

    Raises:
        ValueError: the file is larger than its pixels can explain.
    """
    pixels = size[0] * size[1]
    if isinstance(opened, JpegImageFile):
        samples = [across * down for _, across, down, _ in opened.layer]
        full_colour = sum(samples) > _MOST_SAMPLES * max(samples)
        return _FULL_COLOUR_SCANS_WEIGHT if full_colour and has_several_scans(data) else 1
    if isinstance(opened, BmpImageFile) and opened.tile[0].codec_name == "bmp_rle":
        if len(data) > _RUN_LENGTH_MOST_BYTES * pixels + _RUN_LENGTH_EXTRA:
            raise ValueError("more data than its pixels need")
        return _RUN_LENGTH_WEIGHT
    if name == "tiff" and opened is not None:
        return _DEEP_WEIGHT if opened.mode == "LAB" or _tiff_bits(opened) > _DEEP_BITS else 1
    if name in _HEVC and 8 * len(data) > _DENSE_BITS * pixels:
        return _DENSE_WEIGHT
    return _WEIGHTS.get(name, 1)


def _tiff_bits(opened: Image.Image) -> int:
    """Bits of a pixel, as its tags say."""
    tags = opened.tag_v2  # type: ignore[attr-defined] # Pillow's class of it takes long to import
    bits: int = max(tags.get(_BITS_PER_SAMPLE, (1,))) * tags.get(_SAMPLES_PER_PIXEL, 1)
    return bits
