"""BMP -> RGB over white, by the version of its header.

| what | rule | source |
|---|---|---|
| headers | OS/2 1.x (12 bytes), OS/2 2.x (16 to 64), Windows 3 to V5 (40 to 124) | Microsoft, BITMAPV5HEADER; IBM |
| 1, 2, 4, 8 bits | a palette; a missing colour is black | likewise |
| 16, 24, 32 bits | by bit masks of any width, else 5-5-5, 8-8-8 with the fourth byte unused | likewise |
| alpha | where a mask has it; 0 everywhere means opaque | as Chrome and Firefox do |
| run lengths | 4, 8 and 24 bits; a pixel that is skipped is transparent, so white | as Chrome and Firefox do |
| height below 0 | the first row is the top one | Microsoft |

Refused by name: Huffman codes, JPEG or PNG inside, other depths.
"""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from handler.errors import RejectedError, Rejection
from handler.frozen import frozen
from handler.images.alpha import over_white

Bytes = npt.NDArray[np.uint8]

_FILE_HEADER, _CORE, _WINDOWS, _OS2 = 14, 12, 40, 64
_RGB, _RLE8, _RLE4, _MASKS, _JPEG, _PNG, _ALPHA_MASKS = range(7)
_RLE24, _HUFFMAN = 104, 103  # 4 and 3 of an OS/2 header, which mean something else in a Windows one
_RUNS = {_RLE8: 8, _RLE4: 4, _RLE24: 24}
_NAMES = {_JPEG: "JPEG", _PNG: "PNG", _HUFFMAN: "Huffman codes"}

_DEPTHS = {1, 2, 4, 8, 16, 24, 32}
_MASKED = {16, 24, 32}
_DEFAULT_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 24: (0xFF0000, 0xFF00, 0xFF, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}

_MOST_COLOURS = 256
_STRIP_PIXELS = 500_000


@frozen
class Bitmap:
    """What a header says.

    Attributes:
        width: pixels.
        height: pixels.
        top_down: the first row is the top one.
        bits: of a pixel.
        compression: 0 none, 1, 2, 104 run lengths, 3, 6 bit masks.
        masks: red, green, blue, alpha.
        palette: (256, 3); empty where the pixels are colours.
        offset: where the pixels are.
    """

    width: int
    height: int
    top_down: bool
    bits: int
    compression: int
    masks: tuple[int, int, int, int]
    palette: Bytes
    offset: int

    @property
    def has_runs(self) -> bool:
        """Whether it is compressed by run lengths."""
        return self.compression in _RUNS

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, without its padding to four."""
        return (self.width * self.bits + 7) // 8


def read_header(data: bytes) -> Bitmap:
    """Read the header and the palette.

    Raises:
        RejectedError: `unsupported_format`, naming what is not read.
        ValueError: the header is damaged.
        struct.error: it ends too early.
    """
    (offset, size) = struct.unpack_from("<LL", data, 10)
    if size == _CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression, colours = _RGB, 0
    elif 16 <= size <= 1 << 10:
        known = data[_FILE_HEADER : _FILE_HEADER + min(size, _WINDOWS)].ljust(_WINDOWS, b"\0")
        width, height, _, bits, compression, _, _, _, colours, _ = struct.unpack_from("<llHHLLllLL", known, 4)
        if (size == _OS2 or size < _WINDOWS) and compression in {3, 4}:
            compression += 100
    else:
        raise ValueError(f"a header of {size} bytes")
    _refuse_unknown(bits, compression)
    if width < 1 or height == 0 or (compression in _RUNS and _RUNS[compression] != bits):
        raise ValueError(f"{width} x {height} pixels of {bits} bits, compression {compression}")
    masks, palette_at = _masks(data, size, bits, compression)
    palette, end = _palette(data, palette_at, (size, bits, colours), offset)
    return Bitmap(width, abs(height), height < 0, bits, compression, masks, palette, offset or end)


def decode_bmp(data: bytes, bitmap: Bitmap) -> Image.Image:
    """Decode the pixels.

    Raises:
        ValueError: they end too early.
    """
    if bitmap.has_runs:
        values, covered = _unpacked_runs(data, bitmap)
        return _shown(bitmap, lambda rows: _over_white_where(_colours(values[rows], bitmap), covered[rows]))
    stride = (bitmap.row_bytes + 3) & ~3
    needed = stride * (bitmap.height - 1) + bitmap.row_bytes
    if bitmap.offset + needed > len(data):
        raise ValueError("its rows end too early")
    stored = np.lib.stride_tricks.as_strided(
        np.frombuffer(data, np.uint8, offset=bitmap.offset),
        (bitmap.height, bitmap.row_bytes),
        (stride, 1),
        writeable=False,
    )
    if bitmap.bits in _MASKED:
        return _shown(bitmap, _masked(stored, bitmap))
    return _shown(bitmap, lambda rows: bitmap.palette[_indices(stored[rows], bitmap)])


def _refuse_unknown(bits: int, compression: int) -> None:
    if compression not in {_RGB, _MASKS, _ALPHA_MASKS, *_RUNS}:
        named = _NAMES.get(compression, f"compression {compression}")
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"a BMP with {named}")
    if bits not in _DEPTHS:
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"a BMP of {bits} bits a pixel")


def _masks(data: bytes, size: int, bits: int, compression: int) -> tuple[tuple[int, int, int, int], int]:
    """(the masks, where the palette begins)."""
    at = _FILE_HEADER + size
    if compression not in {_MASKS, _ALPHA_MASKS}:
        return _DEFAULT_MASKS.get(bits, (0, 0, 0, 0)), at
    inside = size > _WINDOWS
    count = 4 if compression == _ALPHA_MASKS or size >= 56 else 3
    found = struct.unpack_from(f"<{count}L", data, _FILE_HEADER + _WINDOWS)
    red, green, blue, alpha = (*found, 0)[:4]
    return (red, green, blue, alpha), at if inside else at + 4 * count


def _palette(data: bytes, at: int, kind: tuple[int, int, int], offset: int) -> tuple[Bytes, int]:
    """((256, 3) of red, green, blue, where it ends); empty where pixels are colours."""
    size, bits, colours = kind
    entry = 3 if size == _CORE else 4
    count = colours or (1 << bits if bits <= 8 else 0)
    if bits > 8:
        return np.empty((0, 3), np.uint8), at + entry * min(count, _MOST_COLOURS)
    room = (offset - at) // entry if offset > at else count
    count = max(0, min(count, room, _MOST_COLOURS))
    found = np.frombuffer(data[at : at + entry * count].ljust(entry * count, b"\0"), np.uint8).reshape(count, entry)
    palette = np.zeros((_MOST_COLOURS, 3), np.uint8)
    palette[:count] = found[:, 2::-1]
    return palette, at + entry * count


def _shown(bitmap: Bitmap, colours_of: Callable[[slice], Any]) -> Image.Image:
    """Convert some rows at a time; `colours_of` rows as they are stored."""
    image = Image.new("RGB", (bitmap.width, bitmap.height))
    step = max(1, _STRIP_PIXELS // bitmap.width)
    for first in range(0, bitmap.height, step):
        rows = slice(first, min(first + step, bitmap.height))
        strip = Image.fromarray(np.ascontiguousarray(colours_of(rows)))
        if bitmap.top_down:
            image.paste(strip, (0, first))
        else:
            image.paste(strip.transpose(Image.Transpose.FLIP_TOP_BOTTOM), (0, bitmap.height - rows.stop))
    return image


def _indices(rows: Bytes, bitmap: Bitmap) -> Bytes:
    """Palette indices, the first in the highest bits."""
    if bitmap.bits == 8:
        return rows
    each = 8 // bitmap.bits
    shifts = np.arange(8 - bitmap.bits, -1, -bitmap.bits, dtype=np.uint8)
    unpacked = (rows[..., np.newaxis] >> shifts) & np.uint8((1 << bitmap.bits) - 1)
    return unpacked.reshape(len(rows), rows.shape[1] * each)[:, : bitmap.width]


def _masked(stored: Bytes, bitmap: Bitmap) -> Callable[[slice], Any]:
    """What brings rows of masked pixels to colours over white."""
    *colour_masks, alpha_mask = bitmap.masks
    if bitmap.bits == 24 and bitmap.masks == _DEFAULT_MASKS[24]:
        return lambda rows: stored[rows].reshape(-1, bitmap.width, 3)[..., ::-1]

    def values(rows: slice) -> npt.NDArray[np.uint32]:
        size = bitmap.bits // 8
        parts = stored[rows].reshape(-1, bitmap.width, size).astype(np.uint32)
        return sum((parts[..., at] << np.uint32(8 * at) for at in range(1, size)), parts[..., 0])

    step = max(1, _STRIP_PIXELS // bitmap.width)
    starts = range(0, bitmap.height, step)
    has_alpha = alpha_mask != 0 and any((values(slice(at, at + step)) & alpha_mask).any() for at in starts)

    def colours_of(rows: slice) -> Bytes:
        found = values(rows)
        colours = np.stack([_channel(found, mask) for mask in colour_masks], axis=-1)
        return over_white(colours, _channel(found, alpha_mask)[..., np.newaxis]) if has_alpha else colours

    return colours_of


def _channel(values: npt.NDArray[np.uint32], mask: int) -> Bytes:
    """The bits under a mask, brought to 8."""
    if mask == 0:
        return np.zeros(values.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    bits = (mask >> shift).bit_length()
    if mask >> shift != (1 << bits) - 1:
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"a BMP with the bit mask {mask:#x}, which has gaps")
    found = (values & np.uint32(mask)) >> np.uint32(shift)
    if bits >= 8:
        return (found >> np.uint32(bits - 8)).astype(np.uint8)
    scaled: Bytes = np.rint(np.arange(1 << bits) * (255 / ((1 << bits) - 1))).astype(np.uint8)[found]
    return scaled


def _colours(values: Bytes, bitmap: Bitmap) -> Bytes:
    return values[..., ::-1] if values.ndim == 3 else bitmap.palette[values]


def _over_white_where(colours: Bytes, covered: Bytes) -> Bytes:
    return np.where(covered[..., np.newaxis] != 0, colours, np.uint8(255))


def _unpacked_runs(data: bytes, bitmap: Bitmap) -> tuple[Bytes, Bytes]:
    """(values as stored, 1 where there is one), rows from the first stored one.

    Raises:
        ValueError: the data end before the picture does.
    """
    unit = 3 if bitmap.bits == 24 else 1
    width, height = bitmap.width, bitmap.height
    values, covered = bytearray(width * height * unit), bytearray(width * height)
    at, column, row, end = bitmap.offset, 0, 0, len(data)
    while row < height:
        if at + 2 > end:
            if row == height - 1 and column >= width:
                break
            raise ValueError("its run lengths end too early")
        count, code = data[at], data[at + 1]
        if count:
            run, at = _run(data, at + 1, count, bitmap.bits)
        elif code > 2:
            count = code
            run, at = _literal(data, at + 2, count, bitmap.bits)
        else:
            if code == 1:
                break
            at += 2
            if code == 0:
                column, row = 0, row + 1
            else:
                column, row, at = column + data[at], row + data[at + 1], at + 2
            continue
        shown = max(0, min(count, width - column))
        first = row * width + column
        values[first * unit : (first + shown) * unit] = run[: shown * unit]
        covered[first : first + shown] = b"\1" * shown
        column += count
    shape = (height, width, unit) if unit > 1 else (height, width)
    return np.frombuffer(values, np.uint8).reshape(shape), np.frombuffer(covered, np.uint8).reshape(height, width)


def _run(data: bytes, at: int, count: int, bits: int) -> tuple[bytes, int]:
    """(values of a run, what is behind it)."""
    if bits == 8:
        return data[at : at + 1] * count, at + 1
    if bits == 24:
        return data[at : at + 3].ljust(3, b"\0") * count, at + 3
    pair = bytes([data[at] >> 4, data[at] & 15])
    return (pair * (count + 1 >> 1))[:count], at + 1


def _literal(data: bytes, at: int, count: int, bits: int) -> tuple[bytes, int]:
    """(values that are there one by one, what is behind them and their padding to two bytes).

    Raises:
        ValueError: there are fewer.
    """
    size = (count * bits + 7) // 8
    found = data[at : at + size]
    if len(found) < size:
        raise ValueError("its run lengths end too early")
    behind = at + size + size % 2
    if bits == 4:
        found = bytes(nibble for byte in found for nibble in (byte >> 4, byte & 15))[:count]
    return found, behind
