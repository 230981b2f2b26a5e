"""One decoder for each format: a file -> (upright RGB picture, its full size as shown).

Each imports what its format needs when such a file arrives: a cold start for a JPEG loads nothing else.
"""

# ruff: noqa: PLC0415

import importlib
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from handler.errors import RejectedError, Rejection
from handler.images.convert import to_rgb
from handler.images.malloc_trim import trim_before
from handler.images.orientation import UPRIGHT, orientation_of, upright, upright_size
from handler.images.pixel_limits import (
    Limits,
    jpeg_weight,
    refuse_too_many,
    run_length_weight,
    tiff_weight,
    weight_of,
)

if TYPE_CHECKING:
    from handler.images.jpeg import Jpeg

Decoded = tuple[Image.Image, tuple[int, int]]
Decoder = Callable[[bytes, str, Limits], Decoded]

# Noise that meets the end of the range is clipped, which shifts the mean; a reduced decode averages before it clips. On
# plain white or black that moved vectors of EfficientNet-Lite0 to a cosine of 0.992, and of all else not below 0.999.
_SAMPLE = (128, 128)
_NEAR_THE_END = 10
_MOST_NEAR_THE_END = 0.15

# A JPEG without an end marker is decoded several times, in full.
_MOST_UNENDED_PIXELS = 25_000_000

# The plugins that Pillow does not load by itself.
_PLUGINS = {"webp": "PIL.WebPImagePlugin", "avif": "PIL.AvifImagePlugin"}


def _opened(data: bytes, name: str) -> Image.Image:
    if name in _PLUGINS:
        importlib.import_module(_PLUGINS[name])
    return Image.open(io.BytesIO(data), formats=[name.upper()])


def _shown(opened: Image.Image, size: tuple[int, int], orientation: int) -> Decoded:
    """Convert and turn a decoded picture; `size` is its full size as stored."""
    rgb = to_rgb(opened)
    if rgb is not opened:
        opened.close()  # frees its pixels
    return upright(rgb, orientation), upright_size(size, orientation)


def _jpeg(data: bytes, name: str, limits: Limits) -> Decoded:
    from handler.images.jpeg import first_jpeg

    jpeg = first_jpeg(data)
    return _decode_jpeg(jpeg, name, limits, limits.enough, is_retry=False)


def _decode_jpeg(jpeg: "Jpeg", name: str, limits: Limits, enough: int | None, *, is_retry: bool) -> Decoded:
    with _opened(jpeg.data, name) as opened:
        size = opened.size
        samplings = [(across, down) for _, across, down, _ in opened.layer]  # type: ignore[attr-defined]
        if enough is not None and jpeg.can_be_scaled:
            opened.draft(None, (enough, enough))  # the smallest scale that leaves either side at least so long
        weight = jpeg_weight(samplings, size, opened.size, several_scans=jpeg.several_scans)
        refuse_too_many(size, weight, limits.max_pixels)
        if jpeg.other_endings:
            _require_all_data(jpeg, name, size)
        trim_before(opened.size)
        _load_jpeg(opened, jpeg)
        if opened.size != size and not is_retry and _is_noisy_at_the_ends(opened):
            opened.close()  # frees its pixels
            fits_whole = size[0] * size[1] <= limits.max_pixels
            return _decode_jpeg(jpeg, name, limits, None if fits_whole else min(size) // 2, is_retry=True)
        return _shown(opened, size, orientation_of(jpeg.exif))


def _load_jpeg(opened: Image.Image, jpeg: "Jpeg") -> None:
    if jpeg.is_arithmetic:
        opened.decodermaxblock = len(jpeg.data)  # type: ignore[attr-defined] # this decoder cannot wait for more
    opened.load()


def _require_all_data(jpeg: "Jpeg", name: str, size: tuple[int, int]) -> None:
    """Decode a picture that lacks its end marker with each of its endings.

    Raises:
        ValueError: it depends on what is missing.
    """
    from PIL import ImageChops

    if size[0] * size[1] > _MOST_UNENDED_PIXELS:
        raise ValueError("it has no end marker")
    with _opened(jpeg.data, name) as first:
        _load_jpeg(first, jpeg)
        for ending in jpeg.other_endings:
            with _opened(jpeg.data[: -len(ending)] + ending, name) as other:
                _load_jpeg(other, jpeg)
                if ImageChops.difference(first, other).getbbox() is not None:
                    raise ValueError("it ends before the picture does")


def _is_noisy_at_the_ends(image: Image.Image) -> bool:
    """Whether many values are nearly the least or the greatest there is; those that are quite so have no noise."""
    sample = np.asarray(image.resize(_SAMPLE, Image.Resampling.NEAREST))
    low, high = (sample > 0) & (sample <= _NEAR_THE_END), (sample < 255) & (sample >= 255 - _NEAR_THE_END)
    return float((low | high).mean()) > _MOST_NEAR_THE_END


def _png(data: bytes, name: str, limits: Limits) -> Decoded:
    from handler.images.png import first_png, with_key_over_white

    frame, key = first_png(data)
    with _opened(frame.data, name) as opened:
        size = opened.size
        refuse_too_many(size, 2 if key else 1, limits.max_pixels)
        trim_before(size)
        opened.load()
        if key:
            orientation = orientation_of(frame.exif)
            return upright(with_key_over_white(opened, frame.data, key), orientation), upright_size(size, orientation)
        return _shown(opened, size, orientation_of(frame.exif))


def _gif(data: bytes, name: str, limits: Limits) -> Decoded:
    from handler.images.gif import first_gif

    frame, canvas = first_gif(data)
    refuse_too_many(canvas.size, 1, limits.max_pixels)
    with _opened(frame.data, name) as opened:
        trim_before(canvas.size)
        opened.load()
        shown, size = _shown(opened, canvas.size, UPRIGHT)
    if shown.size == size:
        return shown, size
    image = Image.new("RGB", size, "white")
    image.paste(shown, canvas.offset)
    return image, size


def _webp(data: bytes, name: str, limits: Limits) -> Decoded:
    from handler.images.webp import first_webp

    frame = first_webp(data)
    with _opened(frame.data, name) as opened:
        size = opened.size
        refuse_too_many(size, weight_of(name), limits.max_pixels)
        trim_before(size)
        opened.load()
        return _shown(opened, size, orientation_of(frame.exif))


def _bmp(data: bytes, _name: str, limits: Limits) -> Decoded:
    from handler.images.bmp import decode_bmp, read_header

    bitmap = read_header(data)
    size = (bitmap.width, bitmap.height)
    refuse_too_many(size, run_length_weight(size, len(data)) if bitmap.has_runs else 1, limits.max_pixels)
    trim_before(size)
    return decode_bmp(data, bitmap), size


def _tiff(data: bytes, _name: str, limits: Limits) -> Decoded:
    from handler.images import tiff, tiff_tags

    directory = tiff_tags.read_directory(data)
    size = (directory.number(tiff_tags.WIDTH), directory.number(tiff_tags.HEIGHT))
    weight = tiff_weight(tiff.bits_per_pixel(directory), is_lab=tiff.is_lab(directory))
    refuse_too_many(size, weight, limits.max_pixels)
    trim_before(size)
    orientation = directory.number(tiff_tags.ORIENTATION, UPRIGHT)
    return upright(tiff.decode_tiff(data, directory), orientation), upright_size(size, orientation)


def _avif(data: bytes, name: str, limits: Limits) -> Decoded:
    from handler.images.heif import crop_of, hide_exif, join_associations

    picture = join_associations(hide_exif(data))
    with _opened(picture, name) as opened:
        refuse_too_many(opened.size, weight_of(name), limits.max_pixels)
        trim_before(opened.size)
        opened.load()
        orientation = orientation_of(opened.info.get("exif", b""))  # Pillow's way to report `irot` and `imir`
        cropped = opened.crop(crop_of(picture, opened.size))
        return _shown(cropped, cropped.size, orientation)


def _heif(data: bytes, name: str, limits: Limits) -> Decoded:
    from handler.images.heif import codec_name, codec_of, hide_exif, is_decoded

    codec = codec_of(data)
    if codec == b"av01":
        return _avif(data, "avif", limits)
    if codec is not None and not is_decoded(codec):
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"a HEIF file of {codec_name(codec)}")
    import pillow_heif

    for extra in ("THUMBNAILS", "DEPTH_IMAGES", "AUX_IMAGES"):
        setattr(pillow_heif.options, extra, False)
    picture = hide_exif(data)
    opened = pillow_heif.open_heif(picture)
    primary = opened[opened.primary_index]
    refuse_too_many(primary.size, weight_of(name, primary.size, len(picture)), limits.max_pixels)
    trim_before(primary.size)
    image = primary.to_pillow()
    return _shown(image, image.size, UPRIGHT)


DECODERS: Mapping[str, Decoder] = {
    "jpeg": _jpeg,
    "png": _png,
    "gif": _gif,
    "webp": _webp,
    "bmp": _bmp,
    "tiff": _tiff,
    "avif": _avif,
    "heic": _heif,
    "heif": _heif,
}
