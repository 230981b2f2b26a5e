"""Bytes -> upright RGB: the decode policy.

| what | how |
|---|---|
| format | sniffed from the first bytes; the file's name and content type are never looked at |
| size | pixels are counted from the header and refused before anything is decoded |
| orientation | EXIF orientation applied once; HEIF's own rotation is its decoder's, and its EXIF is not asked |
| frames | the first one (GIF, APNG, WebP, TIFF, MPO) |
| alpha | composed over white, also for a palette's or a PNG's transparent colour |
| 16 bits | the upper 8 are kept |
| 32-bit integers | values up to 255 are taken as they are, up to 65,535 as 16 bits, beyond as 32 bits |
| floats | 0..1 when nothing is above 1, else 0..255, clipped; not-a-number is 0 |
| CMYK, YCbCr, Lab, HSV, 1 bit, palette | Pillow's conversion to RGB |
| ICC profiles | ignored, as in the reference pipelines that the models were trained and measured with |
| damage | an error of the decoder is `corrupt_image`; nothing is guessed from half a file |
"""

import importlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from handler.errors import RejectedError, Rejection

# Part of every fingerprint: raise it when a change here or in `preprocess` can change a stored vector.
DECODE_POLICY = 1

# Sizes are checked here, against the setting, before anything is decoded.
Image.MAX_IMAGE_PIXELS = None

_HEAD_BYTES = 64

# Conversions go strip by strip, so that a picture is in memory twice at the most: as decoded and as RGB.
_STRIP_PIXELS = 4_000_000

# EXIF orientation -> what turns the stored picture upright (CIPA DC-008, section 4.6.4, tag 0x0112).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_MAGICS = {
    "jpeg": (b"\xff\xd8\xff",),
    "png": (b"\x89PNG\r\n\x1a\n",),
    "gif": (b"GIF87a", b"GIF89a"),
    "bmp": (b"BM",),
    "tiff": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
}

# Brands of ISO 14496-12 `ftyp` boxes; the first line that fits names the format.
_BRANDS = {
    "avif": {b"avif", b"avis"},
    "heic": {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"},
    "heif": {b"mif1", b"mif2", b"msf1"},
}

# What Pillow does not load by itself.
_PLUGINS = {"webp": "PIL.WebPImagePlugin", "tiff": "PIL.TiffImagePlugin", "avif": "PIL.AvifImagePlugin"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture.

    Attributes:
        image: upright, mode RGB.
        width: pixels, as shown.
        height: pixels, as shown.
        format: what the bytes are: `jpeg`, `png`, `webp`, `gif`, `bmp`, `tiff`, `avif`, `heic` or `heif`.
    """

    image: Image.Image
    width: int
    height: int
    format: str


def sniff(data: bytes) -> str | None:
    """Name the image format by its first bytes; None when it is none of ours."""
    head = data[:_HEAD_BYTES]
    for name, magics in _MAGICS.items():
        if head.startswith(magics):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        end = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}
        return next((name for name, known in _BRANDS.items() if brands & known), None)
    return None


def decode(data: bytes, max_pixels: int) -> Picture:
    """Decode the first frame into an upright RGB picture.

    Raises:
        RejectedError: `unsupported_format`, `too_many_pixels` or `corrupt_image`.
    """
    name = sniff(data)
    if name is None:
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"not an image that dropvec reads: starts with {data[:8]!r}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a decoder's remarks about a stranger's file are nobody's business
            image = _decode(data, name, max_pixels)
    except (RejectedError, MemoryError, ImportError):
        raise  # the last two are no fault of the file's: another try may succeed
    except Exception as error:  # noqa: BLE001 - on hostile bytes Pillow's decoders raise whatever their parsers met
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise RejectedError(Rejection.CORRUPT_IMAGE, f"the {name} does not decode ({reason})") from None
    return Picture(image, image.width, image.height, name)


def _decode(data: bytes, name: str, max_pixels: int) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=[_pillow_format(name)]) as opened:
        pixels = opened.width * opened.height
        if pixels > max_pixels:
            size = f"{opened.width} x {opened.height} is {pixels} pixels"
            raise RejectedError(Rejection.TOO_MANY_PIXELS, f"{size}, more than the {max_pixels} allowed")
        opened.load()
        orientation = _orientation(opened)
        rgb = to_rgb(opened)
    return rgb.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else rgb


def _pillow_format(name: str) -> str:
    """Pillow's name of a format, its decoder loaded: nobody pays for one that never comes."""
    if name in _PLUGINS:
        importlib.import_module(_PLUGINS[name])
    elif name in {"heic", "heif"}:
        import pillow_heif  # noqa: PLC0415 - a large library

        pillow_heif.register_heif_opener()
        return "HEIF"
    return name.upper()


def _orientation(image: Image.Image) -> int:
    """EXIF orientation still to be applied; the decoders of TIFF and HEIF have done it and say 1."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - a picture is still a picture when only its EXIF block is damaged
        return 1


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB, as the table above says."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    convert = _conversion(image)
    rows = max(1, _STRIP_PIXELS // image.width)
    if rows >= image.height:
        return convert(image)
    rgb = Image.new("RGB", image.size)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        rgb.paste(convert(strip), (0, top))
    return rgb


def _conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    if image.mode.startswith("I;16"):
        return lambda strip: _grey(np.asarray(strip).astype(np.uint16) >> 8)
    if image.mode == "I":
        peak = int(np.asarray(image).max())
        shift = 0 if peak < 1 << 8 else 8 if peak < 1 << 16 else 23
        return lambda strip: _grey(np.maximum(np.asarray(strip), 0) >> shift)
    if image.mode == "F":
        scale = 255.0 if np.nanmax(np.asarray(image), initial=0) <= 1 else 1.0
        return lambda strip: _grey(np.rint(np.clip(np.nan_to_num(np.asarray(strip)) * scale, 0, 255)))
    if image.has_transparency_data:
        return _over_white
    return lambda strip: strip.convert("RGB")


def _grey(values: npt.NDArray[Any]) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    shown = image.convert("RGBA")
    white = Image.new("RGBA", shown.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, shown).convert("RGB")
