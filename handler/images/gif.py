"""GIF: the first frame cut out, and the canvas that it is shown on (GIF89a).

The canvas is transparent, so white, where the frame does not cover it, as browsers show it; the background colour of
the header is ignored as by them. A canvas that is too small for the first frame is enlarged, likewise.
"""

import struct

from handler.frozen import frozen
from handler.images.frame import Frame

# More than real files have, and few enough to walk through in an instant.
_MOST_BLOCKS = 50_000

# Comments and profiles before the first frame; they may be cut into blocks of one byte.
_MOST_BYTES_BEFORE = 16 << 20

_EXTENSION, _CONTROL, _IMAGE = 0x21, 0xF9, 0x2C
_NO_DISPOSAL = 0b11100011  # what becomes of the frame is the next one's affair; Pillow would draw it at once


@frozen
class Canvas:
    """Where a frame is shown.

    Attributes:
        size: (width, height), pixels.
        offset: (left, top) of the frame, pixels.
    """

    size: tuple[int, int]
    offset: tuple[int, int]


def first_gif(data: bytes) -> tuple[Frame, Canvas]:
    """Cut out the first frame, as a file whose canvas is just that frame.

    Raises:
        ValueError: there is none.
        IndexError: likewise.
    """
    flags = data[10]
    palette_end = 13 + ((6 << (flags & 7)) if flags & 0x80 else 0)
    at, control = _find_frame(data[:_MOST_BYTES_BEFORE], palette_end)
    left, top, width, height = struct.unpack_from("<HHHH", data, at + 1)
    across, down = struct.unpack_from("<HH", data, 6)
    canvas = Canvas((max(across, left + width), max(down, top + height)), (left, top))
    parts: list[bytes | memoryview] = [data[:6], struct.pack("<HH", width, height), data[10:palette_end], control]
    parts += [struct.pack("<BHHHH", _IMAGE, 0, 0, width, height), memoryview(data)[at + 9 :]]
    return Frame(b"".join(parts)), canvas


def _find_frame(data: bytes, at: int) -> tuple[int, bytes]:
    """(where the first frame begins, its control block)."""
    control = b""
    for _ in range(_MOST_BLOCKS):
        if data[at] == _IMAGE:
            return at, control
        if data[at] != _EXTENSION:
            at += 1  # padding
            continue
        start, at = at, at + 2
        while data[at]:
            at += 1 + data[at]
        at += 1
        if data[start + 1] == _CONTROL:
            control = data[start : start + 3] + bytes([data[start + 3] & _NO_DISPOSAL]) + data[start + 4 : at]
    raise ValueError(f"more than {_MOST_BLOCKS} blocks before the first frame")
