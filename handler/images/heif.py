"""The boxes of HEIF and AVIF files that decide how a picture is shown (ISO 14496-12, 23008-12; MIAF, 23000-22).

What turns, mirrors and crops a picture are properties of its item: `irot`, `imir`, `clap`. EXIF in such a file says
nothing about it (MIAF, section 7.3.6.7), so it is hidden from the decoders. libheif applies all three properties;
Pillow's AVIF decoder reports the first two and ignores `clap`.
"""

import struct
from collections.abc import Iterator
from fractions import Fraction

Box = tuple[int, int, int, int]  # left, top, right, bottom

_MOST_BOXES = 10_000
_FULL_BOX = 4  # bytes of version and flags
_BOX_HEAD = 8

# Types of image items that libheif decodes here: HEVC, and what is put together of other items.
_DECODED = {b"hvc1", b"hev1", b"grid", b"iden", b"iovl", b"tmap"}
_CODECS = {
    b"jpeg": "JPEG",
    b"j2k1": "JPEG 2000",
    b"avc1": "H.264",
    b"vvc1": "VVC",
    b"evc1": "EVC",
    b"unci": "uncompressed samples",
    b"mski": "a mask",
    b"av01": "AV1",
    b"hvc1": "HEVC",
}


def hide_exif(data: bytes) -> bytes:
    """Give the EXIF item a type that no reader knows (`infe` in the `iinf` box of ISO 14496-12)."""
    start = data.find(b"iinf") - 4
    if start < 0:
        return data
    stop = start + int.from_bytes(data[start : start + 4], "big")
    return b"".join([data[:start], data[start:stop].replace(b"Exif", b"none"), data[stop:]])


def join_associations(data: bytes) -> bytes:
    """Put all `ipma` boxes into one: libavif refuses several of one version, which libheif and browsers read.

    The bytes that this saves become a `free` box behind `iprp`, so that no offset in the file changes.
    """
    for start, stop in _inside(data, _meta(data), b"iprp"):
        boxes = list(_boxes(data, start, stop))
        found = [(at, end) for kind, at, end in boxes if kind == b"ipma"]
        heads = {data[at : at + _FULL_BOX] for at, _ in found}
        if len(found) < 2 or len(heads) > 1 or boxes[-len(found)][0] != b"ipma":
            continue
        count = sum(int.from_bytes(data[at + _FULL_BOX : at + 2 * _FULL_BOX], "big") for at, _ in found)
        entries = b"".join(data[at + 2 * _FULL_BOX : end] for at, end in found)
        joined = _box(b"ipma", heads.pop() + count.to_bytes(4, "big") + entries)
        others = _box(b"iprp", data[start : found[0][0] - _BOX_HEAD] + joined)
        spare = stop - start + _BOX_HEAD - len(others)
        return data[: start - _BOX_HEAD] + others + _box(b"free", bytes(spare - _BOX_HEAD)) + data[stop:]
    return data


def _box(kind: bytes, body: bytes) -> bytes:
    return (len(body) + _BOX_HEAD).to_bytes(4, "big") + kind + body


def codec_of(data: bytes) -> bytes | None:
    """The type of the primary item; None where the file does not say."""
    meta = _meta(data)
    primary = _primary(data, meta)
    for start, stop in _inside(data, meta, b"iinf"):
        count_bytes = 2 if data[start] == 0 else 4
        for kind, at, end in _boxes(data, start + _FULL_BOX + count_bytes, stop):
            if kind == b"infe" and data[at] >= 2:
                id_bytes = 2 if data[at] == 2 else 4
                item = int.from_bytes(data[at + _FULL_BOX : at + _FULL_BOX + id_bytes], "big")
                if item == primary:
                    kind_at = at + _FULL_BOX + id_bytes + 2
                    return data[kind_at : min(kind_at + 4, end)]
    return None


def is_decoded(codec: bytes) -> bool:
    """Whether libheif, as it is installed, decodes items of a type."""
    return codec in _DECODED


def codec_name(codec: bytes) -> str:
    """What people call the type of an item."""
    return _CODECS.get(codec, f"items of type {codec!r}")


def crop_of(data: bytes, size: tuple[int, int]) -> Box | None:
    """What the primary item's `clap` leaves of a decoded picture, before it is turned; None: all of it.

    The numbers are ratios around the centre (ISO 14496-12, section 12.1.4.1). MIAF wants integers; of halves libheif
    rounds the left side down and the top up, and so does this. A crop that is not inside the picture is ignored.
    """
    try:
        found = _clean_aperture(data)
    except (struct.error, IndexError):
        return None
    if found is None or 0 in found[1::2]:
        return None
    width, height, across, down = (Fraction(found[at], found[at + 1]) for at in (0, 2, 4, 6))
    left, top = int((size[0] - width) / 2 + across), _rounded((size[1] - height) / 2 + down)
    box = (left, top, left + _rounded(width), top + _rounded(height))
    inside = 0 <= box[0] < box[2] <= size[0] and 0 <= box[1] < box[3] <= size[1]
    return box if inside and box != (0, 0, *size) else None


def _rounded(value: Fraction) -> int:
    """The nearest integer, halves up."""
    return int((value + Fraction(1, 2)) // 1)


def _clean_aperture(data: bytes) -> tuple[int, ...] | None:
    """(numerator, denominator) of width, height, horizontal and vertical offset."""
    meta = _meta(data)
    primary = _primary(data, meta)
    for start, stop in _inside(data, meta, b"iprp"):
        properties = [
            (kind, at)
            for first, last in _inside(data, (start, stop), b"ipco")
            for kind, at, _ in _boxes(data, first, last)
        ]
        for at, end in _inside(data, (start, stop), b"ipma"):
            for number in _associated(data, at, end, primary):
                if 0 < number <= len(properties) and properties[number - 1][0] == b"clap":
                    values = struct.unpack_from(">LLLLlLlL", data, properties[number - 1][1])
                    return tuple(values)
    return None


def _associated(data: bytes, at: int, end: int, item: int | None) -> Iterator[int]:
    """Numbers of the properties that an `ipma` box gives to an item."""
    id_bytes, index_bytes = 2 if data[at] == 0 else 4, 2 if data[at + 3] & 1 else 1
    (entries,) = struct.unpack_from(">L", data, at + _FULL_BOX)
    at += _FULL_BOX + 4
    for _ in range(min(entries, _MOST_BOXES)):
        found = int.from_bytes(data[at : at + id_bytes], "big")
        count = data[at + id_bytes]
        at += id_bytes + 1
        if at + count * index_bytes > end:
            return
        if found == item:
            for number in range(count):
                index = int.from_bytes(data[at + number * index_bytes : at + (number + 1) * index_bytes], "big")
                yield index & (0x7FFF if index_bytes == 2 else 0x7F)
        at += count * index_bytes


def _meta(data: bytes) -> tuple[int, int]:
    """(start, stop) of what is in the file's `meta` box."""
    found = next(((at, end) for kind, at, end in _boxes(data, 0, len(data)) if kind == b"meta"), (0, 0))
    return (found[0] + _FULL_BOX, found[1]) if found[1] else found


def _primary(data: bytes, meta: tuple[int, int]) -> int | None:
    for at, end in _inside(data, meta, b"pitm"):
        return int.from_bytes(data[at + _FULL_BOX : min(at + _FULL_BOX + (2 if data[at] == 0 else 4), end)], "big")
    return None


def _inside(data: bytes, bounds: tuple[int, int], wanted: bytes) -> Iterator[tuple[int, int]]:
    """(start, stop) of what is in each box of a kind."""
    for kind, at, end in _boxes(data, *bounds):
        if kind == wanted:
            yield at, end


def _boxes(data: bytes, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, stop) of what is in each box between two offsets."""
    for _ in range(_MOST_BOXES):
        if at + 8 > stop:
            return
        size, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = stop if size == 0 else min(at + size, stop)
        if end < at + head:
            return
        yield kind, at + head, end
        at = end
