"""Bytes -> upright RGB: the decode policy.

| what | how |
|---|---|
| format | sniffed from the first bytes; the file's name and content type are never looked at |
| size | pixels are counted from the header and refused before anything is decoded |
| detail | a JPEG that is much larger than the model's input is decoded at 1/2, 1/4 or 1/8 of its size by its decoder, \
which leaves at least 4 pixels for each that the model sees (`DETAIL` of `handler.images.preprocess`); unless a \
seventh of it is noise at the end of the range |
| orientation | EXIF orientation applied once; HEIF's own rotation is its decoder's, and its EXIF is not asked; EXIF \
that is damaged, or larger than 1 MiB, is not asked either |
| frames | the first one (GIF, APNG, WebP, TIFF, MPO) |
| alpha | composed over white, also for a palette's or a PNG's transparent colour |
| 16 bits | the upper 8 are kept |
| 32-bit integers | values up to 255 are taken as they are, up to 65,535 as 16 bits, beyond as 32 bits |
| floats | 0..1 when nothing is above 1, else 0..255, clipped; not-a-number is 0 |
| CMYK, YCbCr, Lab, HSV, 1 bit, palette | Pillow's conversion to RGB |
| ICC profiles | ignored, as in the reference pipelines that the models were trained and measured with |
| damage | whatever a checksum, the file's structure or the decoder shows is `corrupt_image` \
(`handler.images.first_frame`), nothing is guessed from half a file; what follows the first picture does not matter |
| whole, but of a kind that the decoder does not know | `corrupt_image` too (a TIFF of 74 samples a pixel, of RGB in \
floats): Pillow does not tell the one from the other |
| memory, time | a picture of `MAX_IMAGE_PIXELS` = 100 million takes less than 1 GiB and 5 s. Decoders that need more \
per pixel may have fewer: WebP, AVIF, HEIC, HEIF, JPEG that is progressive without subsampling, and TIFF of more than \
32 bits a pixel or in Lab, half as many; HEIC and HEIF of more than 6 bits a pixel in the file a quarter; \
run-length BMP a twentieth |
"""

import importlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from handler.errors import RejectedError, Rejection
from handler.images.first_frame import MOST_METADATA_BYTES, first_picture
from handler.images.pixel_limits import refuse_too_many, weight_of

# Sizes are checked here, against the setting, before anything is decoded.
Image.MAX_IMAGE_PIXELS = None

# A decoder's remarks about a stranger's file are nobody's business.
logging.getLogger("PIL").addHandler(logging.NullHandler())
logging.getLogger("PIL").propagate = False

_HEAD_BYTES = 64

# Of what smaller ones leave on the heap nobody runs out of memory.
_LARGE_PIXELS = 25_000_000

# Conversions go strip by strip: a picture is in memory twice at the most, as decoded and as RGB; a strip fits a cache.
_STRIP_PIXELS = 500_000

# Noise that meets the end of the range is clipped, which shifts the mean; a reduced decode averages before it clips. On
# plain white or black that moved vectors of EfficientNet-Lite0 to a cosine of 0.992, and of all else not below 0.999.
_SAMPLE = (128, 128)
_NEAR_THE_END = 10
_MOST_NEAR_THE_END = 0.15

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
_ACROSS = frozenset({5, 6, 7, 8})  # of these, width and height change places

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
        image: upright, mode RGB; of a JPEG perhaps a half, a quarter or an eighth of its size.
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


def decode(data: bytes, max_pixels: int, enough: int | None = None) -> Picture:
    """Decode the first frame into an upright RGB picture.

    Args:
        data: the file.
        max_pixels: more are refused, `handler.images.pixel_limits`.
        enough: what the shortest side must keep where a decoder can leave detail out by itself, pixels; None: all.

    Raises:
        RejectedError: `unsupported_format`, `too_many_pixels` or `corrupt_image`.
    """
    name = sniff(data)
    if name is None:
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"not an image that dropvec reads: starts with {data[:8]!r}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(data, name, max_pixels, enough)
    except (RejectedError, MemoryError, ImportError):
        raise  # the last two are no fault of the file's: another try may succeed
    except Exception as error:  # noqa: BLE001 - on hostile bytes Pillow's decoders raise whatever their parsers met
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        if isinstance(error, UnidentifiedImageError):
            reason = "its header does not parse"  # its own text names a buffer's address
        raise RejectedError(Rejection.CORRUPT_IMAGE, f"the {name} does not decode ({reason})") from None


def _decode(data: bytes, name: str, max_pixels: int, enough: int | None) -> Picture:
    picture = first_picture(data, name)
    if name in {"heic", "heif"}:
        image = to_rgb(_decode_heif(picture, name, max_pixels))
        return Picture(image, image.width, image.height, name)
    with Image.open(io.BytesIO(picture), formats=[_pillow_format(name)]) as opened:
        refuse_too_many(opened.size, weight_of(name, opened, opened.size, picture), max_pixels)
        width, height = opened.size
        if name == "jpeg" and enough is not None:
            opened.draft(None, (enough, enough))  # the smallest scale that leaves either side at least so long
        _make_room(opened.size)
        if name == "tiff":
            _load_tiff(opened)
        else:
            opened.load()
        if opened.size != (width, height) and _is_noisy_at_the_ends(opened):
            opened.close()  # frees its pixels
            return _decode(data, name, max_pixels, None)
        orientation = _orientation(opened)
        rgb = to_rgb(opened)
        if rgb is not opened:
            opened.close()  # frees its pixels
    if orientation in _ACROSS:
        width, height = height, width
    upright = rgb.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else rgb
    return Picture(upright, width, height, name)


def _is_noisy_at_the_ends(image: Image.Image) -> bool:
    """Whether many values are nearly the least or the greatest there is; those that are quite so have no noise."""
    sample = np.asarray(image.resize(_SAMPLE, Image.Resampling.NEAREST))
    low, high = (sample > 0) & (sample <= _NEAR_THE_END), (sample < 255) & (sample >= 255 - _NEAR_THE_END)
    return float((low | high).mean()) > _MOST_NEAR_THE_END


def _decode_heif(data: bytes, name: str, max_pixels: int) -> Image.Image:
    import pillow_heif  # noqa: PLC0415 - a large library

    for extra in ("THUMBNAILS", "DEPTH_IMAGES", "AUX_IMAGES"):
        setattr(pillow_heif.options, extra, False)
    opened = pillow_heif.open_heif(data)
    primary = opened[opened.primary_index]
    refuse_too_many(primary.size, weight_of(name, None, primary.size, data), max_pixels)
    _make_room(primary.size)
    return primary.to_pillow()


def _make_room(size: tuple[int, int]) -> None:
    if size[0] * size[1] > _LARGE_PIXELS:
        from handler.images import malloc_trim as heap  # noqa: PLC0415 - few need it

        heap.give_back()


def _load_tiff(opened: Image.Image) -> None:
    from handler.images import libtiff  # noqa: PLC0415 - few need it

    libtiff.forget_errors()
    try:
        opened.load()
    finally:
        libtiff.raise_for_errors()


def _pillow_format(name: str) -> str:
    """Pillow's name of a format, its decoder loaded: nobody pays for one that never comes."""
    if name in _PLUGINS:
        importlib.import_module(_PLUGINS[name])
    return name.upper()


def _orientation(image: Image.Image) -> int:
    """EXIF orientation still to be applied; the decoders of TIFF and HEIF have done it and say 1."""
    try:
        if len(image.info.get("exif", b"")) > MOST_METADATA_BYTES:
            return 1
        found = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - a picture is still a picture when only its EXIF block is damaged
        return 1
    return found if isinstance(found, int) else 1


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB, as the table above says."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    convert = _conversion(image)
    boxes = list(_boxes(image.size))
    if len(boxes) == 1:
        return convert(image)
    rgb = Image.new("RGB", image.size)
    for box in boxes:
        rgb.paste(convert(image.crop(box)), box)
    return rgb


def _boxes(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Cut a picture up: in strips, or where even one row is too long, in parts of rows."""
    columns = min(size[0], _STRIP_PIXELS)
    rows = max(1, _STRIP_PIXELS // columns)
    for top in range(0, size[1], rows):
        for left in range(0, size[0], columns):
            yield left, top, min(left + columns, size[0]), min(top + rows, size[1])


def _conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    if image.mode.startswith("I;16"):
        return lambda strip: _grey(np.asarray(strip).astype(np.uint16) >> 8)
    if image.mode == "I":
        peak = _peak(image)
        shift = 0 if peak < 1 << 8 else 8 if peak < 1 << 16 else 23
        return lambda strip: _grey(np.maximum(np.asarray(strip), 0) >> shift)
    if image.mode == "F":
        top = 1 if _peak(image) <= 1 else 255
        return lambda strip: _grey(np.rint(np.clip(np.nan_to_num(np.asarray(strip)), 0, top) * (255 // top)))
    if image.has_transparency_data:
        return _over_white
    return lambda strip: strip.convert("RGB")


def _peak(image: Image.Image) -> float:
    return max(float(np.nanmax(np.asarray(image.crop(box)), initial=0)) for box in _boxes(image.size))


def _grey(values: npt.NDArray[Any]) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    shown = image.convert("RGBA")
    white = Image.new("RGBA", shown.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, shown).convert("RGB")
