"""Samples of a TIFF that Pillow misreads or refuses, read here: any depth, planes, signed integers, floats, palettes.

libtiff, through Pillow, undoes the compression: it is given the strips or tiles as rows of a grey picture of 8 bits, so
what it returns are the bytes. The rest is here: byte order, predictor (TIFF 6.0 section 14, and 3 of Adobe's Technical
Note of 2005), packed samples, planes, tiles.
"""

import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from handler.errors import RejectedError, Rejection
from handler.frozen import frozen
from handler.images import libtiff
from handler.images import tiff_tags as tags
from handler.images.tiff_tags import Directory, chunks_of, replaced, with_directory

Samples = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

# Compressions of bytes, whatever they mean.
_UNCOMPRESSED = 1
BYTE_COMPRESSIONS = {_UNCOMPRESSED, 5, 8, 32773, 32946, 34925, 50000}
_PREDICTED = {5, 8, 32946, 34925, 50000}  # the others have no predictor, whatever the tag says
_NAMES = {
    2: "Huffman fax", 3: "fax group 3", 4: "fax group 4", 6: "old-style JPEG", 7: "JPEG", 32766: "NeXT",
    32809: "ThunderScan", 33003: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG", 34676: "LogLuv", 34677: "LogLuv",
    34712: "JPEG 2000", 34887: "LERC", 34892: "lossy JPEG", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip

_UNSIGNED, _SIGNED, _FLOAT, _UNDEFINED = 1, 2, 3, 4
_FORMAT_NAMES = {5: "complex integers", 6: "complex floats"}
_SEPARATE = 2
_LOWEST_BIT_FIRST = 2  # fill order
_DIFFERENCES, _FLOAT_BYTES = 2, 3  # predictors

_MOST_SAMPLES = 6  # of a pixel: four inks and two more

_SAMPLES_AT_ONCE = 1 << 20
_BAND_BYTES = 4 << 20


@frozen
class Layout:
    """How samples lie in the file.

    Attributes:
        order: `<` or `>`.
        width: pixels.
        height: pixels.
        samples: of a pixel.
        bits: of a sample.
        form: 1 unsigned, 2 signed, 3 float.
        separate: each sample has a plane of its own.
        chunk: (width, height) of a strip or tile, pixels.
        tiled: chunks are tiles.
        predictor: 1 none, 2 differences, 3 differences of a float's bytes.
    """

    order: str
    width: int
    height: int
    samples: int
    bits: int
    form: int
    separate: bool
    chunk: tuple[int, int]
    tiled: bool
    predictor: int

    @property
    def together(self) -> int:
        """How many samples of a pixel lie side by side."""
        return 1 if self.separate else self.samples

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of a chunk."""
        return (self.chunk[0] * self.together * self.bits + 7) // 8


def layout_of(directory: Directory) -> Layout:
    """The layout that a directory describes.

    Raises:
        RejectedError: `unsupported_format`, samples or a compression that are not read here.
        ValueError: the directory contradicts itself.
    """
    samples = directory.number(tags.SAMPLES, 1)
    bits = _same(directory.numbers(tags.BITS, (1,)), samples, "depths")
    form = _same(directory.numbers(tags.SAMPLE_FORMAT, (_UNSIGNED,)), samples, "formats")
    form = _UNSIGNED if form == _UNDEFINED else form  # as libtiff takes it
    width, height = directory.number(tags.WIDTH), directory.number(tags.HEIGHT)
    tiled = tags.TILE_OFFSETS in directory.tags or tags.TILE_WIDTH in directory.tags
    if tiled:
        chunk = directory.number(tags.TILE_WIDTH), directory.number(tags.TILE_HEIGHT)
    else:
        chunk = width, min(directory.number(tags.STRIP_ROWS, height) or height, height)
    compression = directory.number(tags.COMPRESSION, _UNCOMPRESSED)
    layout = Layout(
        directory.order,
        width,
        height,
        samples,
        bits,
        form,
        directory.number(tags.PLANES, 1) == _SEPARATE and samples > 1,
        chunk,
        tiled,
        directory.number(tags.PREDICTOR, 1) if compression in _PREDICTED else 1,
    )
    _refuse_unknown(layout, compression)
    if min(*chunk, width, height) < 1 or max(chunk) > 2 * max(width, height) + (1 << 16):
        raise ValueError(f"chunks of {chunk[0]} x {chunk[1]} for {width} x {height} pixels")
    return layout


def compression_name(number: int) -> str:
    """What people call a compression."""
    return _NAMES.get(number, f"number {number}")


def _same(found: tuple[int, ...], samples: int, what: str) -> int:
    if len(set(found[:samples])) != 1:
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"a TIFF whose samples have different {what}: {found[:8]}")
    return found[0]


def _refuse_unknown(layout: Layout, compression: int) -> None:
    reason = ""
    if layout.form not in {_UNSIGNED, _SIGNED, _FLOAT}:
        reason = f"samples that are {_FORMAT_NAMES.get(layout.form, f'of format {layout.form}')}"
    elif layout.form == _FLOAT and layout.bits not in {16, 32, 64}:
        reason = f"floats of {layout.bits} bits"
    elif not 1 <= layout.bits <= 32 and layout.form != _FLOAT:
        reason = f"samples of {layout.bits} bits"
    elif layout.samples > _MOST_SAMPLES:
        reason = f"{layout.samples} samples a pixel"
    elif compression not in BYTE_COMPRESSIONS:
        reason = f"{layout.bits}-bit samples compressed by {compression_name(compression)}"
    elif layout.predictor == _FLOAT_BYTES and layout.form != _FLOAT:
        reason = "a predictor of floats for integers"
    elif layout.predictor == _DIFFERENCES and layout.bits not in {8, 16, 32, 64}:
        reason = f"a predictor for {layout.bits} bits"
    elif layout.predictor not in {1, _DIFFERENCES, _FLOAT_BYTES}:
        reason = f"predictor {layout.predictor}"
    if reason:
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"a TIFF of {reason}")


def read_samples(data: bytes, directory: Directory, layout: Layout) -> Samples:
    """All samples, (height, width, samples), in this machine's byte order.

    Returns:
        uint8 or uint16 for unsigned integers of up to 8 or 16 bits, uint32, int8 to int32, or float16 to float64.

    Raises:
        ValueError: data are missing or damaged.
    """
    chunks = [memoryview(data)[at : at + length] for at, length in chunks_of(directory, len(data))]
    across, down = -(-layout.width // layout.chunk[0]), -(-layout.height // layout.chunk[1])
    planes = layout.samples if layout.separate else 1
    if len(chunks) < across * down * planes:
        raise ValueError(f"{len(chunks)} strips or tiles of {across * down * planes}")
    samples = np.empty((layout.height, layout.width, layout.samples), _held_type(layout))
    for plane in range(planes):
        target = samples[:, :, plane : plane + 1] if layout.separate else samples
        of_plane = chunks[plane * across * down : (plane + 1) * across * down]
        for top, band in _bands(of_plane, across, layout):
            _read_band(target, (top, band), directory, layout)
    return samples


def _bands(chunks: list[memoryview], across: int, layout: Layout) -> Iterator[tuple[int, list[memoryview]]]:
    """(first row, chunks) of parts of a plane that are unpacked at once: a row of tiles, or some strips."""
    together = across if layout.tiled else max(1, _BAND_BYTES // (layout.chunk[1] * layout.row_bytes))
    for first in range(0, len(chunks), together):
        yield first // across * layout.chunk[1], chunks[first : first + together]


def _read_band(target: Samples, band: tuple[int, list[memoryview]], directory: Directory, layout: Layout) -> None:
    """Fill in the rows of a band."""
    top, chunks = band
    left_over = layout.height - top
    height = layout.chunk[1]
    stored = [height if layout.tiled else min(height, left_over - number * height) for number in range(len(chunks))]
    rows_of = _unpacked(chunks, stored, directory, layout)
    below = stored[0] if layout.tiled else sum(stored)
    rows = min(below, left_over)
    step = max(1, _SAMPLES_AT_ONCE // (layout.chunk[0] * layout.together))
    for column, left in enumerate(range(0, layout.width, layout.chunk[0])):
        right = min(left + layout.chunk[0], layout.width)
        for row in range(0, rows, step):
            first = column * below + row
            values = _values(rows_of(first, first + min(step, rows - row)), layout)
            values = values.reshape(len(values), layout.chunk[0], layout.together)
            target[top + row : top + row + len(values), left:right] = values[:, : right - left]


def _unpacked(
    chunks: list[memoryview], heights: list[int], directory: Directory, layout: Layout
) -> Callable[[int, int], Bytes]:
    """Chunks of some rows each, one below the other: (first row, behind the last one) -> (rows, bytes of a row)."""
    compression = directory.number(tags.COMPRESSION, _UNCOMPRESSED)
    reverse = directory.number(tags.FILL_ORDER, 1) == _LOWEST_BIT_FIRST
    if compression == _UNCOMPRESSED:
        sizes = [rows * layout.row_bytes for rows in heights]
        if any(len(chunk) < size for chunk, size in zip(chunks, sizes, strict=True)):
            raise ValueError("a strip or tile ends too early")
        raw = b"".join(chunk[:size] for chunk, size in zip(chunks, sizes, strict=True))
        stored = np.frombuffer(raw, np.uint8).reshape(sum(heights), layout.row_bytes)
        return lambda first, last: _reversed_bits(stored[first:last]) if reverse else stored[first:last]
    numbers = {
        tags.WIDTH: (layout.row_bytes,),
        tags.HEIGHT: (sum(heights),),
        tags.BITS: (8,),
        tags.PHOTOMETRIC: (1,),
        tags.COMPRESSION: (compression,),
        tags.FILL_ORDER: (_LOWEST_BIT_FIRST if reverse else 1,),
        tags.STRIP_ROWS: (heights[0],),
        tags.STRIP_OFFSETS: tuple(itertools.accumulate(map(len, chunks[:-1]), initial=8)),
        tags.STRIP_BYTES: tuple(map(len, chunks)),
    }
    file = with_directory(b"".join([bytes(8), *chunks]), replaced(Directory("<", {}), numbers))
    with Image.open(io.BytesIO(file), formats=["TIFF"]) as opened, libtiff.raised_errors():
        opened.load()
    return lambda first, last: np.asarray(opened.crop((0, first, layout.row_bytes, last)))


def _reversed_bits(rows: Bytes) -> Bytes:
    return np.packbits(np.unpackbits(rows, axis=1, bitorder="little"), axis=1)


def _held_type(layout: Layout) -> npt.DTypeLike:
    letter = {_UNSIGNED: "u", _SIGNED: "i", _FLOAT: "f"}[layout.form]
    size = next(size for size in (1, 2, 4, 8) if layout.bits <= 8 * size)
    return np.dtype(f"{letter}{size}")


def _values(rows: Bytes, layout: Layout) -> Samples:
    """Bytes of some rows -> their samples, (rows, samples of a row)."""
    count = layout.chunk[0] * layout.together
    held = np.dtype(_held_type(layout))
    if layout.predictor == _FLOAT_BYTES:
        return _float_values(rows, layout, held)
    if layout.bits == 8 * held.itemsize:
        stored = held.newbyteorder("<" if layout.order == "<" else ">")
        values = np.ascontiguousarray(rows).view(stored).astype(held, copy=False)
    elif layout.bits == 24:
        values = _of_24_bits(rows, layout.order, held)
    else:
        values = _packed_values(rows, layout.bits, count).astype(held)
        if layout.form == _SIGNED:
            values = (values << (8 * held.itemsize - layout.bits)) >> (8 * held.itemsize - layout.bits)
    if layout.predictor == _DIFFERENCES:
        integers = values.view(f"u{held.itemsize}").reshape(len(values), layout.chunk[0], layout.together)
        summed = np.cumsum(integers, axis=1, dtype=integers.dtype)
        values = summed.reshape(len(values), count).view(held)
    return values


def _of_24_bits(rows: Bytes, order: str, held: np.dtype[Any]) -> Samples:
    """Three bytes to a sample, in the file's byte order."""
    padded = np.zeros((len(rows), rows.shape[1] // 3, 4), np.uint8)
    padded[..., :3] = rows[:, : rows.shape[1] // 3 * 3].reshape(len(rows), -1, 3)[..., :: 1 if order == "<" else -1]
    values = padded.reshape(len(rows), -1).view("<u4")
    return ((values << 8).astype("u4").view("i4") >> 8).astype(held) if held.kind == "i" else values.astype(held)


def _packed_values(rows: Bytes, bits: int, count: int) -> Samples:
    """Samples that lie close together, the first in the highest bits (TIFF 6.0, FillOrder 1)."""
    group = bits // np.gcd(bits, 8)  # bytes after which a sample begins with a byte again
    each = 8 * group // bits  # samples in them
    groups = -(-count // each)
    padded = np.zeros((len(rows), groups * group), np.uint8)
    padded[:, : rows.shape[1]] = rows[:, : groups * group]
    grouped = padded.reshape(len(rows), groups, group)
    wide = np.uint16 if bits <= 8 else np.uint32 if bits <= 24 else np.uint64
    values = np.empty((len(rows), groups, each), wide)
    for number in range(each):
        first, last = number * bits // 8, ((number + 1) * bits - 1) // 8
        value: Samples = grouped[..., first].astype(wide)
        for at in range(first + 1, last + 1):
            value = (value << 8) | grouped[..., at]
        values[..., number] = (value >> (7 - ((number + 1) * bits - 1) % 8)) & ((1 << bits) - 1)
    return values.reshape(len(rows), groups * each)[:, :count]


def _float_values(rows: Bytes, layout: Layout, held: np.dtype[Any]) -> Samples:
    """Predictor 3: differences of bytes; first the highest bytes of all samples of a row, then the next ones."""
    size, step = held.itemsize, layout.together
    sums = np.cumsum(rows.reshape(len(rows), -1, step), axis=1, dtype=np.uint8).reshape(len(rows), size, -1)
    joined = np.ascontiguousarray(sums.transpose(0, 2, 1)).reshape(len(rows), -1)
    return joined.view(held.newbyteorder(">")).astype(held)
