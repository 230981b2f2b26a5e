"""Files put together by hand: what an encoder would not write."""

import io
import struct
import zlib
from collections.abc import Iterable, Mapping

from PIL import Image, TiffTags

BLOCK = 1 << 20


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    size: tuple[int, int], pixel: tuple[int, int], body: bytes, *, before: bytes = b"", interlaced: bool = False
) -> bytes:
    """A PNG of given image data; `pixel` is its depth and its kind of colour, `before` are chunks that come before."""
    header = struct.pack(">IIBBBBB", *size, *pixel, 0, 0, interlaced)
    chunks = [png_chunk(b"IHDR", header), before, png_chunk(b"IDAT", body), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def black_png(size: tuple[int, int], depth: int = 8, colours: int = 2, *, before: bytes = b"") -> bytes:
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colours]
    row = 1 + (size[0] * depth * channels + 7) // 8
    return png(size, (depth, colours), zlib_zeros(row * size[1]), before=before)


def zlib_zeros(count: int) -> bytes:
    """A zlib stream of many zeros, made in no time: the same deflate block again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    rest = packer.compress(bytes(count % BLOCK)) + packer.flush()
    return b"\x78\xda" + block * (count // BLOCK) + rest + struct.pack(">I", (count % 65521) << 16 | 1)


def tiff(tags: Mapping[int, tuple[int, Iterable[int]]], body: bytes, *, order: str = "<", big: bool = False) -> bytes:
    """A TIFF with its directory in front: tag -> (type, values). Offsets of strips or tiles count from the body."""
    offset_type, count_format = ("Q", "Q") if big else ("L", "H")
    values = {tag: (kind, list(numbers)) for tag, (kind, numbers) in sorted(tags.items())}
    room = 20 if big else 12
    start = (16 if big else 8) + struct.calcsize(f"={count_format}{offset_type}") + room * len(values)
    lengths = {tag: len(numbers) * TIFF_SIZES[kind] for tag, (kind, numbers) in values.items()}
    data_start = start + sum(length for length in lengths.values() if length > room // 2 - 2)
    entries, outside = b"", b""
    for tag, (kind, numbers) in values.items():
        moved = [number + data_start for number in numbers] if tag in {273, 324} else numbers
        packed = struct.pack(f"{order}{len(moved)}{TIFF_LETTERS[kind]}", *moved)
        entries += struct.pack(f"{order}HH{offset_type}", tag, kind, len(moved))
        if len(packed) > room // 2 - 2:
            entries += struct.pack(f"{order}{offset_type}", start + len(outside))
            outside += packed
        else:
            entries += packed.ljust(room // 2 - 2, b"\0")
    magic = b"II" if order == "<" else b"MM"
    head = struct.pack(f"{order}HHHQ", 43, 8, 0, 16) if big else struct.pack(f"{order}HL", 42, 8)
    directory = struct.pack(f"{order}{count_format}", len(values)) + entries + struct.pack(f"{order}{offset_type}", 0)
    return magic + head + directory + outside + body


TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
TIFF_LETTERS = {1: "B", 2: "B", 3: "H", 4: "L", 6: "b", 7: "B", 8: "h", 9: "l", 16: "Q"}


def directory_first(data: bytes) -> bytes:
    """Rewrite a TIFF of Pillow's, whose directory is behind the pixels, so that cutting it short costs pixels."""
    with Image.open(io.BytesIO(data)) as opened:
        found = opened.tag_v2  # type: ignore[attr-defined]
        offsets, lengths = found[273], found[279]
        tags = {
            tag: (found.tagtype[tag], [value] if isinstance(value, int) else value)
            for tag, value in found.items()
            if found.tagtype[tag] in TIFF_LETTERS and not isinstance(value, str | bytes)
        }
        blocks = {tag: value for tag, value in found.items() if isinstance(value, bytes)}
    tags |= {tag: (TiffTags.UNDEFINED, value) for tag, value in blocks.items()}
    body = b"".join(data[at : at + length] for at, length in zip(offsets, lengths, strict=True))
    tags[273] = (TiffTags.LONG, [sum(lengths[:number]) for number in range(len(lengths))])
    return tiff(tags, body)


def black_tiff(size: tuple[int, int], *, bits: int = 8, samples: int = 1, form: int = 1, photometric: int = 1) -> bytes:
    """A deflated TIFF of zeros in one strip."""
    body = zlib_zeros((size[0] * bits * samples + 7) // 8 * size[1])
    tags = {
        256: (4, [size[0]]),
        257: (4, [size[1]]),
        258: (3, [bits] * samples),
        259: (3, [8]),
        262: (3, [photometric]),
        273: (4, [0]),
        277: (3, [samples]),
        278: (4, [size[1]]),
        279: (4, [len(body)]),
        339: (3, [form] * samples),
    }
    return tiff(tags, body)


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def exif(orientation: int, *, order: str = "<", kind: int = 3, count: int = 1) -> bytes:
    """An EXIF block with one tag."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", 8)
    value = struct.pack(f"{order}H", orientation & 0xFFFF).ljust(4, b"\0")
    return b"Exif\0\0" + head + struct.pack(f"{order}HHHL", 1, 0x0112, kind, count) + value + bytes(4)


def exif_text(length: int) -> bytes:
    """A TIFF directory with a description and nothing else, of a length of at least 27."""
    length = max(length, 27)
    return b"II*\0" + struct.pack("<LHHHLLL", 8, 1, 0x010E, 2, length - 26, 26, 0) + b"Z" * (length - 26)


def exif_bomb(numbers: int) -> bytes:
    """An EXIF block whose orientation is a long list."""
    head = b"Exif\0\0II*\0" + struct.pack("<LHHHLLL", 8, 1, 0x0112, 3, numbers, 26, 0)
    return head + b"\x39\x30" * numbers


def bmp_runs(size: tuple[int, int], body: bytes, *, bits: int = 8) -> bytes:
    """A BMP compressed by run lengths."""
    palette = b"".join(bytes([255 - value, value // 2, value, 0]) for value in range(1 << bits))
    offset = 54 + len(palette)
    info = struct.pack("<LllHHLLllLL", 40, *size, 1, bits, 1 if bits == 8 else 2, len(body), 2835, 2835, 1 << bits, 0)
    return b"BM" + struct.pack("<LHHL", offset + len(body), 0, 0, offset) + info + palette + body


def bmp_rows(size: tuple[int, int]) -> bytes:
    """Run lengths that fill a picture of the size."""
    full, rest = divmod(size[0], 255)
    row = b"\xff\x07" * full + (bytes([rest, 9]) if rest else b"") + b"\0\0"
    return row * size[1] + b"\0\1"


def box(kind: bytes, body: bytes) -> bytes:
    """A box of ISO 14496-12."""
    return struct.pack(">I", len(body) + 8) + kind + body
