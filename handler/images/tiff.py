"""TIFF -> RGB: which decoder reads which kind, and what its samples mean.

Pillow keeps the kinds that it reads right; `handler.images.tiff_samples` reads the other ones. The scale of samples:

| samples | 0 to 255 is |
|---|---|
| unsigned of n bits | 0 to 2^n - 1; the upper 8 bits where there are more |
| signed of n bits | as unsigned ones of n bits; a negative one is black |
| signed of more than 8 bits, unsigned of 32 | likewise, but 0 to 255 or 0 to 65,535 where no value is above |
| floats | 0 to 1; 0 to 255, or to 65,535, where half of the positive values are above 2, or 512; NaN is 0 |

White is zero (photometric interpretation 0): the same, inverted. A palette has 16 bits, or 8 where no value is above
255. A sample beyond the colours is alpha, also where its kind is not said, unless it is 0 everywhere; only associated
alpha (ExtraSamples 1) is multiplied in already.
"""

import importlib
import io
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from handler.errors import RejectedError, Rejection
from handler.images import libtiff
from handler.images import tiff_tags as tags
from handler.images.alpha import over_white, rgb_image
from handler.images.convert import to_rgb
from handler.images.tiff_samples import BYTE_COMPRESSIONS, Layout, Samples, compression_name, layout_of, read_samples
from handler.images.tiff_tags import Directory, chunks_of, replaced, with_directory

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _LAB: 3}
_NAMES = {
    4: "a transparency mask",
    _YCBCR: "YCbCr",
    9: "ICC Lab",
    10: "ITU Lab",
    32844: "LogL",
    32845: "LogLuv",
}
_ASSOCIATED = 1
_SEPARATE = 2
_UNSIGNED, _SIGNED, _FLOAT, _UNDEFINED = 1, 2, 3, 4

# (photometric interpretation, samples) of 8 bits, and of 16, side by side, that Pillow reads right.
_PILLOW_8 = {(_WHITE_IS_ZERO, 1), (_BLACK_IS_ZERO, 1), (_RGB, 3), (_PALETTE, 1), (_CMYK, 4)}
_PILLOW_16 = {(_BLACK_IS_ZERO, 1), (_RGB, 3)}
_FAX, _JPEGS = {2, 3, 4}, {6, 7}
_OLD_JPEG = 6

_STRIP_PIXELS = 500_000
_MOST_SAMPLED = 1 << 20  # values that the scale of floats is found from
_BRIGHT = (2, 512)  # medians above which floats are 0 to 255, and 0 to 65,535


def photometric_of(directory: Directory) -> int:
    """What samples mean; where the file does not say, or lacks its palette, libtiff's guess."""
    default = _RGB if directory.number(tags.SAMPLES, 1) >= _COLOURS[_RGB] else _WHITE_IS_ZERO
    found = _YCBCR if _compression(directory) == _OLD_JPEG else directory.number(tags.PHOTOMETRIC, default)
    if found == _PALETTE and len(directory.numbers(tags.PALETTE)) != 3 << directory.number(tags.BITS, 1):
        return _BLACK_IS_ZERO
    return found


def bits_per_pixel(directory: Directory) -> int:
    """How many bits a pixel has in the file."""
    return max(directory.numbers(tags.BITS, (1,))) * directory.number(tags.SAMPLES, 1)


def is_lab(directory: Directory) -> bool:
    """Whether the picture is in CIELab, whose conversion is slow."""
    return photometric_of(directory) == _LAB


def decode_tiff(data: bytes, directory: Directory) -> Image.Image:
    """Decode the picture of a directory into RGB, as stored: its orientation is still to be applied.

    Raises:
        RejectedError: `unsupported_format`, naming what is not read.
        ValueError: it is damaged.
    """
    if _is_pillows(directory):
        return _with_pillow(data, directory)
    layout = layout_of(directory)
    photometric = photometric_of(directory)
    if photometric not in _COLOURS or directory.number(tags.INK_SET, 1) != 1:
        named = _NAMES.get(photometric, f"photometric interpretation {photometric}")
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"a TIFF of {layout.bits}-bit samples in {named}")
    if layout.samples < _COLOURS[photometric]:
        raise ValueError(f"{layout.samples} samples a pixel for photometric interpretation {photometric}")
    samples = read_samples(data, directory, layout)
    return _shown(samples, _converter(samples, layout, directory))


def _compression(directory: Directory) -> int:
    return directory.number(tags.COMPRESSION, 1)


def _is_pillows(directory: Directory) -> bool:
    """Whether Pillow reads this kind, and reads it right."""
    compression, bits = _compression(directory), set(directory.numbers(tags.BITS, (1,)))
    if compression in _JPEGS and compression != _OLD_JPEG and bits != {8}:
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"a TIFF of JPEGs with samples of {max(bits)} bits")
    if compression not in BYTE_COMPRESSIONS | _FAX | _JPEGS:
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"a TIFF compressed by {compression_name(compression)}")
    return compression not in BYTE_COMPRESSIONS or _has_pillows_samples(directory, bits)


def _has_pillows_samples(directory: Directory, bits: set[int]) -> bool:
    photometric, samples = photometric_of(directory), directory.number(tags.SAMPLES, 1)
    separate = directory.number(tags.PLANES, 1) == _SEPARATE and samples > 1
    if set(directory.numbers(tags.SAMPLE_FORMAT, (_UNSIGNED,))) - {_UNSIGNED, _UNDEFINED}:
        return False
    if photometric == _YCBCR:
        whole = not separate or directory.numbers(tags.YCBCR_SUBSAMPLING, (2, 2)) == (1, 1)
        return bits == {8} and samples == 3 and whole
    if separate:
        return False
    if bits == {1}:
        return samples == 1 and photometric in {_WHITE_IS_ZERO, _BLACK_IS_ZERO}
    known = {8: _PILLOW_8, 16: _PILLOW_16}.get(max(bits), set()) if len(bits) == 1 else set()
    return (photometric, samples) in known and directory.number(tags.INK_SET, 1) == 1


def _with_pillow(data: bytes, directory: Directory) -> Image.Image:
    changes: dict[int, tuple[int, ...]] = {tags.ORIENTATION: (1,), tags.PHOTOMETRIC: (photometric_of(directory),)}
    changes |= _chunk_lengths(data, directory)
    palette = directory.numbers(tags.PALETTE)
    if palette and max(palette) < 1 << 8:
        changes[tags.PALETTE] = tuple(value * 257 for value in palette)
    if _UNDEFINED in directory.numbers(tags.SAMPLE_FORMAT):
        changes[tags.SAMPLE_FORMAT] = (_UNSIGNED,) * directory.number(tags.SAMPLES, 1)  # as libtiff takes it
    plugin: Any = importlib.import_module("PIL.TiffImagePlugin")
    plugin.READ_LIBTIFF = True  # what Pillow itself does for uncompressed data ignores YCbCr's subsampling
    file = with_directory(data, replaced(_without_zero_coefficients(directory), changes))
    with Image.open(io.BytesIO(file), formats=["TIFF"]) as opened:
        with libtiff.raised_errors():
            opened.load()
        return to_rgb(opened)


def _chunk_lengths(data: bytes, directory: Directory) -> dict[int, tuple[int, ...]]:
    """The tag with the lengths of all strips or tiles; none where old-style JPEG keeps its data elsewhere."""
    chunks = chunks_of(directory, len(data))
    if not chunks:
        return {}
    number = tags.TILE_BYTES if tags.TILE_OFFSETS in directory.tags else tags.STRIP_BYTES
    return {number: tuple(length for _, length in chunks)}


def _without_zero_coefficients(directory: Directory) -> Directory:
    """Leave out YCbCr coefficients that are 0, for which libtiff refuses the picture; without any it has its own."""
    found = directory.tags.get(tags.YCBCR_COEFFICIENTS)
    if found is None or all(number for (number,) in struct.iter_unpack(f"{directory.order}L", found.packed)):
        return directory
    return Directory(directory.order, {key: tag for key, tag in directory.tags.items() if tag is not found})


def _shown(samples: Samples, convert: Callable[[Samples], Image.Image]) -> Image.Image:
    """Convert some rows at a time: a picture is in memory twice at the most."""
    height, width, _ = samples.shape
    image = Image.new("RGB", (width, height))
    for top, left, bottom, right in _boxes(height, width):
        image.paste(convert(samples[top:bottom, left:right]), (left, top))
    return image


def _boxes(height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    columns = min(width, _STRIP_PIXELS)
    rows = max(1, _STRIP_PIXELS // columns)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            yield top, left, min(top + rows, height), min(left + columns, width)


def _converter(samples: Samples, layout: Layout, directory: Directory) -> Callable[[Samples], Image.Image]:
    """What turns samples of this kind into RGB over white."""
    photometric = photometric_of(directory)
    count = _COLOURS[photometric]
    alpha_kind = _alpha_kind(samples, count, directory)
    if photometric == _PALETTE:
        table = _palette(directory)
        as_colours: Callable[[Samples], Samples] = lambda part: table[np.minimum(part[..., 0], len(table) - 1)]  # noqa: E731
    elif photometric == _LAB:
        as_colours = _lab_scale(layout)
    else:
        as_colours = _scale(samples[..., :count], layout, photometric)
    alpha_scale = _scale(samples[..., count : count + 1], layout, _BLACK_IS_ZERO) if alpha_kind is not None else None

    def convert(part: Samples) -> Image.Image:
        colours = as_colours(part[..., :count])
        if photometric == _CMYK:
            inks = Image.frombytes("CMYK", (part.shape[1], part.shape[0]), colours.tobytes())
            colours = np.asarray(inks.convert("RGB"))
        if alpha_scale is not None:
            alpha = alpha_scale(part[..., count : count + 1])
            colours = over_white(
                _inverted_under(colours, alpha, photometric, alpha_kind), alpha, premultiplied=alpha_kind == _ASSOCIATED
            )
        return rgb_image(colours)

    return convert


def _inverted_under(colours: Samples, alpha: Samples, photometric: int, kind: int | None) -> Samples:
    """Associated alpha of inverted samples was multiplied in before they were inverted."""
    if photometric == _WHITE_IS_ZERO and kind == _ASSOCIATED:
        colours = np.maximum(colours.astype(np.int16) - (255 - alpha), 0).astype(np.uint8)
    return colours


def _alpha_kind(samples: Samples, count: int, directory: Directory) -> int | None:
    """The kind of the sample beyond the colours (ExtraSamples); None where nothing is transparent."""
    photometric = photometric_of(directory)
    if samples.shape[2] <= count:
        return None
    (kind, *_) = directory.numbers(tags.EXTRA_SAMPLES, (0,))
    said = kind in {1, 2}
    if not said and (photometric == _CMYK or not samples[..., count].any()):
        return None
    return kind


def _palette(directory: Directory) -> npt.NDArray[np.uint8]:
    """(colours, 3), 8 bits."""
    numbers = np.asarray(directory.numbers(tags.PALETTE), np.uint16)
    if len(numbers) < 3 or len(numbers) % 3:
        raise ValueError(f"a palette of {len(numbers)} numbers")
    scaled = numbers if numbers.max() < 1 << 8 else numbers >> 8
    return np.ascontiguousarray(scaled.reshape(3, -1).T.astype(np.uint8))


def _scale(samples: Samples, layout: Layout, photometric: int) -> Callable[[Samples], Samples]:
    """What brings samples to 8 bits, as the table above says."""
    to_bytes = _float_scale(samples) if layout.form == _FLOAT else _integer_scale(samples, layout)
    if photometric == _WHITE_IS_ZERO:
        return lambda part: 255 - to_bytes(part)
    return to_bytes


def _lab_scale(layout: Layout) -> Callable[[Samples], Samples]:
    """What brings Lab to RGB: L is unsigned, a and b are signed (TIFF 6.0, section 23); or all are floats."""
    from handler.images.lab import lab_to_rgb  # noqa: PLC0415 - rare

    if layout.form == _FLOAT:
        return lambda part: lab_to_rgb(*np.moveaxis(part.astype(np.float32), 2, 0))
    if layout.bits not in {8, 16}:
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"a TIFF in Lab of {layout.bits} bits")
    most, unit = np.float32((1 << layout.bits) - 1), np.float32(1 / (1 << (layout.bits - 8)))

    def convert(part: Samples) -> Samples:
        unsigned, signed = part.view(f"u{part.itemsize}"), part.view(f"i{part.itemsize}")
        return lab_to_rgb(unsigned[..., 0] * (np.float32(100) / most), signed[..., 1] * unit, signed[..., 2] * unit)

    return convert


def _integer_scale(samples: Samples, layout: Layout) -> Callable[[Samples], Samples]:
    bits = layout.bits
    if bits < 8:
        most = (1 << bits) - 1
        table = np.rint(np.arange(1 << bits) * (255 / most)).astype(np.uint8)
        return lambda part: table[np.maximum(part, 0)]
    if bits == 32 or (layout.form == _SIGNED and bits > 8):
        peak = int(samples.max(initial=0))
        bits = 8 if peak < 1 << 8 else min(bits, 16) if peak < 1 << 16 else bits
    return lambda part: (np.maximum(part, 0) >> (bits - 8)).astype(np.uint8)


def _float_scale(samples: Samples) -> Callable[[Samples], Samples]:
    sampled = samples.reshape(-1, samples.shape[2])[:: max(1, samples.size // _MOST_SAMPLED)]
    positive = sampled[sampled > 0]
    median = float(np.median(positive)) if positive.size else 0
    top = 1 if median <= _BRIGHT[0] else 255 if median <= _BRIGHT[1] else 65535

    def to_bytes(part: Samples) -> Samples:
        scaled = part.astype(np.float32) * np.float32(255 / top)
        np.fmax(scaled, 0, out=scaled)  # NaN becomes 0
        np.minimum(scaled, 255, out=scaled)
        scaled += np.float32(0.5)
        return scaled.astype(np.uint8)

    return to_bytes
