"""The first directory of a TIFF file: its tags, and a file that holds nothing else.

TIFF 6.0 (1992) says what the tags mean; BigTIFF differs in the width of offsets and counts alone. The new file has the
data of the old one, unmoved, and a classic directory at its end with the tags that pixels depend on. So no decoder
meets further directories, metadata, or 64-bit offsets, which Pillow misreads in big-endian files.
"""

import itertools
import struct
from collections.abc import Iterator, Mapping

from handler.errors import RejectedError, Rejection
from handler.frozen import frozen

# Directories and tags: more than real files have, and few enough to walk through in an instant.
MOST_TAGS = 5_000
MOST_DIRECTORIES = 16
MOST_NUMBERS = 200_000  # of one tag: a palette of 16 bits has 196,608

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_ROWS, STRIP_BYTES, PLANES = 273, 274, 277, 278, 279, 284
PREDICTOR, PALETTE, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 317, 320, 322, 323, 324, 325
SUB_DIRECTORIES, INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT = 330, 332, 338, 339
_MAKE, _DNG_VERSION = 271, 50706
YCBCR_COEFFICIENTS, YCBCR_SUBSAMPLING = 529, 530
_FAX_OPTIONS, _JPEG_TABLES, _OLD_JPEG = (292, 293), (347,), tuple(range(512, 522))
_YCBCR = (YCBCR_COEFFICIENTS, YCBCR_SUBSAMPLING, 531, 532)

# What pixels depend on, as far as the decoders know.
_KEPT = {
    *(WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_ROWS),
    *(STRIP_BYTES, PLANES, PREDICTOR, PALETTE, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, INK_SET),
    *(EXTRA_SAMPLES, SAMPLE_FORMAT, *_FAX_OPTIONS, *_JPEG_TABLES, *_OLD_JPEG, *_YCBCR),
}
_READ = _KEPT | {SUB_DIRECTORIES, _MAKE, _DNG_VERSION}

# Letters of `struct` for the types of numbers; the others (rationals, floats) are kept as bytes.
_NUMBERS = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 13: "L", 16: "Q", 17: "q", 18: "Q"}
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_UNDEFINED = 7
_SHORTENED = {16: 4, 17: 9, 18: 13}  # 64-bit types -> those of a classic TIFF

_MOST_OFFSET = 1 << 32
_HEADER_BYTES = 8

# Photometric interpretations of a sensor's data (colour filter array and linear raw, of TIFF/EP and DNG 1.7), and the
# compressions of ARW, SRW, NEF and PEF.
_SENSOR = {32803, 34892, 32767, 32770, 34713, 65535}
_RAW_NAMES = {"NIKON": "NEF", "SONY": "ARW", "PENTAX": "PEF", "SAMSUNG": "SRW", "Canon": "CR2", "Hasselblad": "3FR"}


@frozen
class Tag:
    """One entry of a directory.

    Attributes:
        kind: its type, of section 2 of TIFF 6.0.
        count: how many values it has.
        packed: the values as they are in the file.
        values: the values, where they are integers.
    """

    kind: int
    count: int
    packed: bytes
    values: tuple[int, ...]


@frozen
class Directory:
    """The tags of a directory that pixels depend on.

    Attributes:
        order: `<` or `>`, the file's byte order.
        tags: by number.
    """

    order: str
    tags: Mapping[int, Tag]

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """All values of a tag."""
        found = self.tags.get(tag)
        return found.values if found and found.values else default

    def number(self, tag: int, default: int = 0) -> int:
        """The first value of a tag."""
        return (self.numbers(tag) or (default,))[0]


def read_directory(data: bytes) -> Directory:
    """Read the first directory.

    Raises:
        ValueError: it does not parse.
        struct.error: likewise.
        RejectedError: `unsupported_format`, it is the thumbnail of a camera raw file.
    """
    directory = first_directory(data)
    _refuse_camera_raw(data, directory)
    return directory


def first_directory(data: bytes) -> Directory:
    """Read the first directory of a TIFF or of an EXIF block, whatever it is.

    Raises:
        ValueError: it does not parse.
        struct.error: likewise.
    """
    order, big, at = _header(data)
    return Directory(order, _tags(data, at, order, big=big))


def with_directory(data: bytes, directory: Directory) -> bytes:
    """A classic TIFF with the data of another one and one directory, at its end."""
    order = directory.order
    padding = bytes(-len(data) % 2)
    at = len(data) + len(padding)
    kept = sorted((number, tag) for number, tag in directory.tags.items() if number in _KEPT)
    outside = at + 2 + 12 * len(kept) + 4
    entries, extra = [struct.pack(f"{order}H", len(kept))], []
    for number, tag in kept:
        kind, packed = _classic(tag, order)
        value = packed.ljust(4, b"\0")
        if len(packed) > 4:
            value = struct.pack(f"{order}L", outside)
            extra.append(packed + bytes(len(packed) % 2))
            outside += len(extra[-1])
        entries.append(struct.pack(f"{order}HHL4s", number, kind, tag.count, value))
    head = struct.pack(f"{order}2sHL", b"II" if order == "<" else b"MM", 42, at)
    return b"".join([head, memoryview(data)[len(head) :], padding, *entries, bytes(4), *extra])


def replaced(directory: Directory, changes: Mapping[int, tuple[int, ...]]) -> Directory:
    """The directory with other numbers in some tags; of type SHORT where they fit, else LONG."""
    tags = dict(directory.tags)
    for number, values in changes.items():
        kind, letter = (3, "H") if max(values) < 1 << 16 else (4, "L")
        packed = struct.pack(f"{directory.order}{len(values)}{letter}", *values)
        tags[number] = Tag(kind, len(values), packed, values)
    return Directory(directory.order, tags)


def chunks_of(directory: Directory, data_bytes: int) -> list[tuple[int, int]]:
    """(offset, length) of every strip or tile; a length that is missing reaches to the next one, or to the end.

    Raises:
        ValueError: one is not inside the file.
    """
    tiled = TILE_OFFSETS in directory.tags
    offsets = directory.numbers(TILE_OFFSETS if tiled else STRIP_OFFSETS)
    lengths = directory.numbers(TILE_BYTES if tiled else STRIP_BYTES)
    if len(lengths) < len(offsets) or 0 in lengths:
        ends = [*sorted(set(offsets)), data_bytes]
        following = {start: end - start for start, end in itertools.pairwise(ends)}
        known = dict(enumerate(lengths))
        lengths = tuple(known.get(number) or following[start] for number, start in enumerate(offsets))
    chunks = list(zip(offsets, lengths, strict=False))
    if any(at < _HEADER_BYTES or at + length > data_bytes for at, length in chunks):
        raise ValueError("a strip or tile that is not inside the file")
    return chunks


def _header(data: bytes) -> tuple[str, bool, int]:
    """(byte order, whether it is a BigTIFF, where the first directory is)."""
    order = "<" if data[:2] == b"II" else ">"
    (version,) = struct.unpack_from(f"{order}H", data, 2)
    big = version == 43
    (first,) = struct.unpack_from(f"{order}Q" if big else f"{order}L", data, 8 if big else 4)
    return order, big, first


def _tags(data: bytes, at: int, order: str, *, big: bool) -> dict[int, Tag]:
    """The tags of a directory that are read here; of several with one number the first, as libtiff takes it."""
    counted, entry = (f"{order}Q", f"{order}HHQ8s") if big else (f"{order}H", f"{order}HHL4s")
    (count,) = struct.unpack_from(counted, data, at)
    if count > MOST_TAGS:
        raise ValueError(f"{count} tags")
    at += struct.calcsize(counted)
    tags: dict[int, Tag] = {}
    for number in range(count):
        tag, kind, values, inline = struct.unpack_from(entry, data, at + number * struct.calcsize(entry))
        if tag in _READ and kind in _BYTES and tag not in tags:
            tags[tag] = _tag(data, (tag, kind, values), inline, order)
    return tags


def _tag(data: bytes, head: tuple[int, int, int], inline: bytes, order: str) -> Tag:
    number, kind, count = head
    length = count * _BYTES[kind]
    if count > MOST_NUMBERS:
        raise ValueError(f"tag {number} with {count} values")
    packed = inline[:length]
    if length > len(inline):
        (at,) = struct.unpack(f"{order}{'Q' if len(inline) == 8 else 'L'}", inline)
        packed = data[at : at + length]
    if len(packed) < length:
        raise ValueError(f"tag {number} points behind the end of the file")
    values = struct.unpack(f"{order}{count}{_NUMBERS[kind]}", packed) if kind in _NUMBERS else ()
    return Tag(kind, count, packed, values)


def _classic(tag: Tag, order: str) -> tuple[int, bytes]:
    """(type, values) of a tag in a classic TIFF."""
    if tag.kind not in _SHORTENED:
        return tag.kind, tag.packed
    if max(map(abs, tag.values), default=0) >= _MOST_OFFSET:
        raise ValueError("an offset behind the end of the file")
    kind = _SHORTENED[tag.kind]
    return kind, struct.pack(f"{order}{tag.count}{_NUMBERS[kind]}", *tag.values)


def _refuse_camera_raw(data: bytes, first: Directory) -> None:
    big, name = _header(data)[1], ""
    if _DNG_VERSION in first.tags:
        name = "DNG"
    elif data[8:10] == b"CR" and not big:
        name = "CR2"
    elif any(found in _SENSOR for found in _encodings(data, first, big=big)):
        maker = first.tags[_MAKE].packed.decode("ascii", "replace") if _MAKE in first.tags else ""
        known = (raw for prefix, raw in _RAW_NAMES.items() if maker.lower().startswith(prefix.lower()))
        name = next(known, "TIFF/EP")
    if name:
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"a camera raw ({name}) holds sensor data, not a picture")


def _encodings(data: bytes, first: Directory, *, big: bool) -> Iterator[int]:
    """Photometric interpretations and compressions of the first directory and of those inside it."""
    yield from (first.number(PHOTOMETRIC), first.number(COMPRESSION))
    for at in first.numbers(SUB_DIRECTORIES)[:MOST_DIRECTORIES]:
        try:
            inside = Directory(first.order, _tags(data, at, first.order, big=big))
        except (ValueError, struct.error):
            continue  # a directory that no pixel of the first picture depends on
        yield from (inside.number(PHOTOMETRIC), inside.number(COMPRESSION))
