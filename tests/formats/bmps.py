"""BMP: every version of the header by depth by masks by direction, and run lengths with skips."""

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tests.formats.case import Case, Pixels, alpha, from_depth, grey, over_white, packed_rows, picture, to_depth

Samples = npt.NDArray[np.uint64]

HEADERS = {"OS/2 1": 12, "OS/2 2, short": 16, "Windows 3": 40, "V2": 52, "V3": 56, "OS/2 2": 64, "V4": 108, "V5": 124}
NONE, RLE8, RLE4, MASKS, ALPHA_MASKS = 0, 1, 2, 3, 6


def bmp(  # noqa: PLR0913 - a header's fields
    header: int,
    size: tuple[int, int],
    bits: int,
    body: bytes,
    *,
    palette: bytes = b"",
    masks: tuple[int, ...] = (),
    compression: int = NONE,
    top_down: bool = False,
) -> bytes:
    """A file with a header of some bytes."""
    width, height = size
    if header == 12:
        info = struct.pack("<LHHHH", 12, width, height, 1, bits)
    else:
        fields = (header, width, -height if top_down else height, 1, bits, compression, len(body), 2835, 2835, 0, 0)
        info = struct.pack("<LllHHLLllLL", *fields)[:header].ljust(header, b"\0")
    packed = struct.pack(f"<{len(masks)}L", *masks)
    if masks and header >= 52:
        room = 4 * (4 if header >= 56 else 3)
        info = info[:40] + packed[:room].ljust(room, b"\0") + info[40 + room :]
        packed = b""
    offset = 14 + len(info) + len(packed) + len(palette)
    return b"BM" + struct.pack("<LHHL", offset + len(body), 0, 0, offset) + info + packed + palette + body


def rows_of(samples: Samples, bits: int, *, top_down: bool = False) -> bytes:
    """Pixels (H, W) as rows of four bytes, the lowest row first."""
    rows = [_row(row, bits) for row in samples]
    return b"".join(row + bytes(-len(row) % 4) for row in (rows if top_down else rows[::-1]))


def _row(values: Samples, bits: int) -> bytes:
    if bits <= 8:
        return packed_rows(values[np.newaxis], bits)[0]
    return values.astype("<u8").view(np.uint8).reshape(-1, 8)[:, : bits // 8].tobytes()


def masked(colours: Samples, masks: tuple[int, ...]) -> tuple[Samples, Pixels]:
    """(pixels, the 8 bits that are left of each channel) of channels (H, W, n) under masks."""
    pixels = np.zeros(colours.shape[:2], np.uint64)
    left = []
    for channel, mask in zip(np.moveaxis(colours, 2, 0), masks, strict=True):
        bits, shift = mask.bit_count(), (mask & -mask).bit_length() - 1
        sample = to_depth(channel.astype(np.uint8), bits)
        pixels |= sample << np.uint64(shift)
        left.append(from_depth(sample, bits))
    return pixels, np.stack(left, -1)


def cases() -> Iterator[Case]:
    for name, header in HEADERS.items():
        yield from _palettes(name, header)
        for bits, masks in (
            (16, (0x7C00, 0x3E0, 0x1F)),
            (24, (0xFF0000, 0xFF00, 0xFF)),
            (32, (0xFF0000, 0xFF00, 0xFF)),
        ):
            pixels, left = masked(picture().astype(np.uint64), masks)
            body = rows_of(pixels, bits)
            yield Case(f"BMP {bits} bits", name, bmp(header, (120, 90), bits, body), left)
    yield from _masks()
    yield from _alpha()
    yield from _runs()
    yield Case(
        "BMP of kinds that are not decoded", "JPEG", bmp(40, (8, 8), 24, b"", compression=4), None, refused="JPEG"
    )
    huffman = bmp(64, (8, 8), 1, b"", compression=3)
    yield Case("BMP of kinds that are not decoded", "Huffman", huffman, None, refused="Huffman")


def _palettes(name: str, header: int) -> Iterator[Case]:
    for bits in (1, 2, 4, 8):
        colours = np.random.default_rng(bits).integers(0, 256, (1 << bits, 3)).astype(np.uint8)
        entries = [bytes(colour[::-1]) + (b"" if header == 12 else b"\0") for colour in colours]
        indices = to_depth(grey(), bits)
        data = bmp(header, (120, 90), bits, rows_of(indices, bits), palette=b"".join(entries))
        yield Case(f"BMP palette {bits} bits", name, data, colours[indices.astype(int)])


def _masks() -> Iterator[Case]:
    for bits, masks in (
        (16, (0xF800, 0x7E0, 0x1F)),
        (16, (0x0F00, 0x00F0, 0x000F)),
        (16, (0x0003, 0x001C, 0x0020)),
        (32, (0xFF, 0xFF00, 0xFF0000)),
        (32, (0x3FF00000, 0xFFC00, 0x3FF)),
        (32, (0xFE000000, 0x1FE0000, 0x1F0)),
    ):
        pixels, left = masked(picture().astype(np.uint64), masks)
        for name, header in HEADERS.items():
            if header in {40, 52, 56, 108, 124}:
                for top_down in (False, True):
                    body = rows_of(pixels, bits, top_down=top_down)
                    data = bmp(header, (120, 90), bits, body, masks=masks, compression=MASKS, top_down=top_down)
                    words = " ".join(f"{mask:x}" for mask in masks)
                    way = ", top down" if top_down else ""
                    yield Case(f"BMP {bits} bits under masks", f"{words}, {name}{way}", data, left)


def _alpha() -> Iterator[Case]:
    four = np.concatenate([picture(), alpha()[..., np.newaxis]], 2).astype(np.uint64)
    for bits, masks in (
        (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        (32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
        (16, (0x0F00, 0x00F0, 0x000F, 0xF000)),
        (16, (0x7C00, 0x3E0, 0x1F, 0x8000)),
    ):
        words = " ".join(f"{mask:x}" for mask in masks)
        pixels, left = masked(four, masks)
        opaque, _ = masked(four * np.array([1, 1, 1, 0], np.uint64), masks)
        for name in ("V3", "V4", "V5"):
            header = HEADERS[name]
            data = bmp(header, (120, 90), bits, rows_of(pixels, bits), masks=masks, compression=MASKS)
            yield Case(f"BMP {bits} bits with alpha", f"{words}, {name}", data, over_white(left[..., :3], left[..., 3]))
            data = bmp(header, (120, 90), bits, rows_of(opaque, bits), masks=masks, compression=MASKS)
            yield Case("BMP with alpha that is 0 everywhere", f"{bits} bits, {words}, {name}", data, left[..., :3])
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    pixels, left = masked(four, masks)
    data = bmp(40, (120, 90), 32, rows_of(pixels, 32), masks=masks, compression=ALPHA_MASKS)
    yield Case("BMP 32 bits with alpha", "alpha bit fields", data, over_white(left[..., :3], left[..., 3]))
    unused = bmp(40, (120, 90), 32, rows_of(pixels, 32))
    yield Case("BMP 32 bits", "fourth byte in use, without masks", unused, picture())


def _runs() -> Iterator[Case]:
    colours = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint8)
    for bits, compression in ((8, RLE8), (4, RLE4)):
        count = 1 << bits
        palette = b"".join(bytes(colour[::-1]) + b"\0" for colour in colours[:count])
        indices = to_depth(grey(), bits).astype(np.uint8)
        body = b"".join(_encoded_row(row, bits) + b"\0\0" for row in indices[::-1]) + b"\0\1"
        expected = colours[indices]
        data = bmp(40, (120, 90), bits, body, palette=palette, compression=compression)
        yield Case("BMP run lengths", f"{bits} bits", data, expected)
        skipped: Pixels = expected.copy()
        body = b"".join(_encoded_row(row, bits) + b"\0\0" for row in indices[:45][::-1])
        body = (
            b"\0\2" + bytes([10, 0]) + _encoded_row(indices[89, 10:], bits) + b"\0\0" + b"\0\2\0\x2c" + body + b"\0\1"
        )
        skipped[45:89], skipped[89, :10] = 255, 255
        data = bmp(40, (120, 90), bits, body, palette=palette, compression=compression)
        yield Case("BMP run lengths with skips", f"{bits} bits", data, skipped)


def _encoded_row(row: npt.NDArray[np.uint8], bits: int) -> bytes:
    """Runs where two neighbours are equal; else literal values."""
    values, encoded, at = row.tolist(), b"", 0
    while at < len(values):
        run = 1
        while at + run < len(values) and run < 255 and values[at + run] == values[at]:
            run += 1
        if run > 1 or len(values) - at < 3:
            encoded += bytes([run, values[at] if bits == 8 else values[at] * 17])
            at += run
            continue
        count = 3
        literal = values[at : at + count]
        packed = bytes(literal) if bits == 8 else bytes([literal[0] << 4 | literal[1], literal[2] << 4])
        encoded += bytes([0, count]) + packed + bytes(len(packed) % 2)
        at += count
    return encoded
