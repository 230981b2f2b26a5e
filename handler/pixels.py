"""Bytes -> upright RGB: the decode policy.

| what | how |
|---|---|
| format | sniffed from the first bytes; the file's name and content type are never looked at |
| size | pixels are counted from the header and refused before anything is decoded |
| orientation | EXIF orientation applied once |
| frames | the first one (GIF, APNG, WebP, TIFF, MPO) |
| alpha | composed over white, also for a palette's or a PNG's transparent colour |
| 16 bits | the upper 8 are kept |
| 32-bit integers | values up to 255 are taken as they are, up to 65,535 as 16 bits, beyond as 32 bits |
| floats | clipped to 0..1 when nothing is above 1, else to 0..255; not-a-number is 0 |
| CMYK, YCbCr, Lab, HSV, 1 bit, palette | Pillow's conversion to RGB |
| ICC profiles | ignored, as in the reference pipelines that the models were trained and measured with |
| damage | an error of the decoder is `corrupt_image`; nothing is guessed from half a file |
"""

import io
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from handler.errors import RejectedError, Rejection

# Part of every fingerprint: raise it when a change here or in `preprocess` can change a stored vector.
DECODE_POLICY = 1

# Sizes are checked here, against the setting, before anything is decoded.
Image.MAX_IMAGE_PIXELS = None

_HEAD_BYTES = 64


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture.

    Attributes:
        image: upright, mode RGB.
        width: pixels, as shown.
        height: pixels, as shown.
        format: what the bytes are: `jpeg`, `png`, `webp`, `gif`, `bmp`, `tiff` or `avif`.
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
        brands = {head[at : at + 4] for at in (8, *range(16, len(head) - 3, 4))}
        return "avif" if brands & {b"avif", b"avis"} else None
    return None


_MAGICS = {
    "jpeg": (b"\xff\xd8\xff",),
    "png": (b"\x89PNG\r\n\x1a\n",),
    "gif": (b"GIF87a", b"GIF89a"),
    "bmp": (b"BM",),
    "tiff": (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
}


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
            with Image.open(io.BytesIO(data), formats=[name]) as opened:
                _check_pixels(opened, max_pixels)
                upright = to_rgb(ImageOps.exif_transpose(_loaded(opened)))
    except RejectedError:
        raise
    except Exception as error:  # noqa: BLE001 - on hostile bytes Pillow's decoders raise whatever their parsers met
        reason = f"{type(error).__name__}: {error}"[:200]
        raise RejectedError(Rejection.CORRUPT_IMAGE, f"the {name} does not decode ({reason})") from None
    return Picture(upright, upright.width, upright.height, name)


def _check_pixels(opened: Image.Image, max_pixels: int) -> None:
    pixels = opened.width * opened.height
    if pixels > max_pixels:
        raise RejectedError(
            Rejection.TOO_MANY_PIXELS,
            f"{opened.width} x {opened.height} is {pixels} pixels, more than the {max_pixels} allowed",
        )


def _loaded(opened: Image.Image) -> Image.Image:
    opened.load()
    try:
        opened.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - a picture is still a picture when only its EXIF block is damaged
        opened.info.pop("exif", None)
        return opened.copy()
    return opened


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB, as the table above says."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        return _grey((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode == "I":
        return _grey(_eight_bits(np.asarray(image)))
    if image.mode == "F":
        return _grey(_from_float(np.asarray(image)))
    if image.has_transparency_data:
        return _over_white(image)
    return image.convert("RGB")


def _grey(values: npt.NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(values).convert("RGB")


def _eight_bits(
    values: npt.NDArray[np.int32],
) -> npt.NDArray[np.uint8]:
    positive = np.maximum(values, 0)
    peak = int(positive.max())
    shift = 0 if peak < 1 << 8 else 8 if peak < 1 << 16 else 23
    shifted: npt.NDArray[np.uint8] = (positive >> shift).astype(np.uint8)
    return shifted


def _from_float(
    values: npt.NDArray[np.float32],
) -> npt.NDArray[np.uint8]:
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    scale = 255.0 if finite.max() <= 1 else 1.0
    scaled: npt.NDArray[np.uint8] = np.rint(np.clip(finite * scale, 0, 255)).astype(np.uint8)
    return scaled


def _over_white(image: Image.Image) -> Image.Image:
    shown = image.convert("RGBA")
    white = Image.new("RGBA", shown.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, shown).convert("RGB")
