"""What of a file makes its first picture: checked, and freed of everything else, before a decoder sees it.

Decoders fill in what a damaged file lacks, and read metadata that nobody here asks for at a cost which a hostile file
can make minutes or gigabytes. So the first picture is cut out, byte for byte, and looked at:

| format | kept | refused |
|---|---|---|
| JPEG | see `handler.images.jpeg` | data that ends before the picture does, even under an end marker; missing scans |
| PNG | header, palette, transparency, image data; EXIF (also as text) and XMP | a wrong checksum |
| GIF | header, palette, the first frame and its control block | |
| TIFF | everything | more tags, or longer lists of numbers, than a picture has any use for; more of them than fit |
| AVIF, HEIC, HEIF | everything but EXIF: what turns them is in boxes of their own | |
| BMP, WebP | everything | |

What comes after the first picture may be missing, or be anything. Damage that no checksum covers and that a decoder
cannot tell from a picture (another bit in a JPEG, zeros in a BMP) stays unseen.
"""

import struct
import zlib
from collections.abc import Iterator

from handler.images.jpeg import first_jpeg

# Chunks, blocks, tags: more than real files have, and few enough to walk through in an instant.
MOST_PARTS = 50_000

# EXIF is at most 64 KiB where cameras write it; other containers set no limit.
MOST_METADATA_BYTES = 1 << 20

_PNG_PICTURE = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_PNG_TEXTS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")

# Comments and profiles before the first frame; they may be cut into blocks of one byte.
_GIF_MOST_BEFORE = 16 << 20

_GIF_EXTENSION, _GIF_CONTROL, _GIF_IMAGE = 0x21, 0xF9, 0x2C
_GIF_NO_DISPOSAL = 0b11100011  # what becomes of the frame is the next one's affair; Pillow would draw it at once

_TIFF_LISTS_MOST = 200_000  # a palette of 16 bits has 196,608 numbers
_TIFF_DIRECTORIES = {34665, 34853, 40965}  # EXIF, GPS, interoperability
_TIFF_BYTE_TYPES = {1, 2, 6, 7}
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def first_picture(data: bytes, name: str) -> bytes:
    """The file of the first picture alone.

    Raises:
        ValueError: it is damaged.
        IndexError: it ends too early.
        struct.error: likewise.
    """
    if name == "jpeg":
        return first_jpeg(data)
    if name == "png":
        return b"".join([data[:8], *_png_chunks(data)])
    if name == "gif":
        return _first_gif(data)
    if name == "tiff":
        _check_tiff(data)
    if name in {"avif", "heic", "heif"}:
        return _without_exif(data)
    return data


def _png_chunks(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    at, seen, last, behind = 8, set(), b"", False
    for _ in range(MOST_PARTS):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        stop = at + 12 + length
        behind = behind or (last == b"IDAT" and kind != b"IDAT")
        if not behind and stop <= len(data):
            _check_png(data, at + 4, stop - 4)
        about = _png_metadata(data, at) if kind not in _PNG_PICTURE else b""
        if kind in _PNG_PICTURE or (about and about not in seen):
            yield view[at:stop]
        seen.add(about)
        if kind == b"IEND" or stop >= len(data):
            return
        at, last = stop, kind
    raise ValueError(f"more than {MOST_PARTS} chunks")


def _check_png(data: bytes, start: int, stop: int) -> None:
    if zlib.crc32(memoryview(data)[start:stop]) != int.from_bytes(data[stop : stop + 4], "big"):
        raise ValueError(f"a chunk {data[start : start + 4]!r} with a wrong checksum")


def _png_metadata(data: bytes, at: int) -> bytes:
    """What a chunk tells about the picture's orientation; empty when it does not."""
    if int.from_bytes(data[at : at + 4], "big") > MOST_METADATA_BYTES:
        return b""
    if data[at + 4 : at + 8] == b"eXIf":
        return b"eXIf"
    is_text = data[at + 4 : at + 8] in {b"tEXt", b"zTXt", b"iTXt"}
    return next((key for key in _PNG_TEXTS if is_text and data.startswith(key, at + 8)), b"")


def _first_gif(data: bytes) -> bytes:
    flags = data[10]
    at = palette_end = 13 + ((6 << (flags & 7)) if flags & 0x80 else 0)
    whole, data, control = data, data[:_GIF_MOST_BEFORE], b""
    for _ in range(MOST_PARTS):
        if data[at] == _GIF_IMAGE:
            return b"".join([whole[:palette_end], control, memoryview(whole)[at:]])
        if data[at] != _GIF_EXTENSION:
            at += 1  # padding
            continue
        start, at = at, at + 2
        while data[at]:
            at += 1 + data[at]
        at += 1
        if data[start + 1] == _GIF_CONTROL:
            control = data[start : start + 3] + bytes([data[start + 3] & _GIF_NO_DISPOSAL]) + data[start + 4 : at]
    raise ValueError(f"more than {MOST_PARTS} blocks before the first frame")


def _check_tiff(data: bytes) -> None:
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\0", b"\0+"}
    (first,) = struct.unpack_from(order + ("Q" if big else "L"), data, 8 if big else 4)
    waiting, seen, tags, size = [first], set(), 0, 0
    while waiting:
        directory = waiting.pop()
        if directory in seen:
            continue
        seen.add(directory)
        for tag, kind, count, value in _tiff_tags(data, directory, order, big=big):
            tags, size = tags + 1, size + count * _TIFF_SIZES.get(kind, 0)
            if tags > MOST_PARTS or size > len(data):  # they overlap, and libtiff would copy each
                raise ValueError(f"{tags} tags with {size} bytes")
            if count > _TIFF_LISTS_MOST and kind not in _TIFF_BYTE_TYPES:
                raise ValueError(f"tag {tag} with {count} numbers")
            if tag in _TIFF_DIRECTORIES:
                waiting.append(value)


def _tiff_tags(data: bytes, at: int, order: str, *, big: bool) -> Iterator[tuple[int, int, int, int]]:
    """(tag, type, count, value or where it is) of every entry of one directory."""
    counted, entry = (f"{order}Q", f"{order}HHQQ") if big else (f"{order}H", f"{order}HHLL")
    if at + struct.calcsize(counted) > len(data):
        return
    (tags,) = struct.unpack_from(counted, data, at)
    at += struct.calcsize(counted)
    for number in range(tags):
        yield struct.unpack_from(entry, data, at + number * struct.calcsize(entry))


def _without_exif(data: bytes) -> bytes:
    """Give the EXIF item a type that no reader knows (`infe` in the `iinf` box of ISO 14496-12)."""
    start = data.find(b"iinf") - 4
    if start < 0:
        return data
    stop = start + int.from_bytes(data[start : start + 4], "big")
    return b"".join([data[:start], data[start:stop].replace(b"Exif", b"none"), data[stop:]])
