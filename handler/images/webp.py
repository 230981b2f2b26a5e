"""WebP: the first frame cut out of its container (RFC 9649); other chunks, whole or damaged, do not matter."""

from collections.abc import Iterator

from handler.images.frame import Frame

_MOST_CHUNKS = 50_000
_MOST_METADATA_BYTES = 1 << 20
_RIFF_BYTES = 12
_KEPT_FLAGS = 0b00010010  # of VP8X: alpha and animation; not profiles, EXIF, XMP


def first_webp(data: bytes) -> Frame:
    """Cut out the first frame.

    Raises:
        ValueError: it is not there whole.
    """
    view, exif, found = memoryview(data), b"", False
    kept: list[bytes | memoryview] = []
    for kind, start, stop in _chunks(data):
        if kind == b"VP8X" and not kept:
            flags = bytes([data[start + 8] & _KEPT_FLAGS])
            kept += [view[start : start + 8], flags, view[start + 9 : stop]]
        elif kind in {b"ANIM", b"ALPH"} and not found:
            kept.append(view[start:stop])
        elif kind in {b"VP8 ", b"VP8L", b"ANMF"} and not found:
            kept.append(view[start:stop])
            found = True
        elif kind == b"EXIF" and not exif and stop - start <= _MOST_METADATA_BYTES:
            exif = data[start + 8 : stop]
    if not found:
        raise ValueError("it ends before its first frame does")
    size = 4 + sum(map(len, kept))
    return Frame(b"".join([b"RIFF", size.to_bytes(4, "little"), b"WEBP", *kept]), exif)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, stop) of every chunk that is there whole; the padding of the last one may be missing."""
    at = _RIFF_BYTES
    for _ in range(_MOST_CHUNKS):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > len(data):
            return
        yield data[at : at + 4], at, at + 8 + length + length % 2
        at += 8 + length + length % 2
        if at + 8 > len(data):
            return
    raise ValueError(f"more than {_MOST_CHUNKS} chunks")
