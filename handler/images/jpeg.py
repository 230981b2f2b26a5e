"""The first picture of a JPEG file, cut out and found complete.

Kept are tables, frame, scans, and the JFIF, Adobe, EXIF and XMP segments. libjpeg fills in whatever a scan lacks as
soon as it meets a marker, and Pillow does not say so. Therefore

- a picture in one sequential scan is handed on without its end marker: a decoder that wants more data then finds none.
  Under a marker no more than the last block of 8 x 8 pixels may be missing unseen, at the end of the file nothing;
- a picture in several scans, progressive or not, must have every scan that full precision takes. Each but the last is
  complete when the next one follows.
"""

import re
from collections.abc import Iterator

MOST_SEGMENTS = 10_000
MOST_SCANS = 100
MOST_ABOUT = 16  # segments about the picture

_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")  # neither a stuffed byte nor a restart
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_END_MARKER = bytes([0xFF, _END])
_SEQUENTIAL = {0xC0, 0xC1}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_TABLES = {0xC4, 0xCC, 0xDB, 0xDD}
_ABOUT = {
    0xE0: (b"JFIF\0",),
    0xE1: (b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"),
    0xEE: (b"Adobe",),
}

# As much as libjpeg looks ahead at the end of a scan. All ones: no picture has such a code.
_LOOKAHEAD = b"\xff\x00" * 8

# Of a segment, all that is looked at: of a frame with 10 components, as many as libjpeg takes, 36 bytes.
_HEAD_BYTES = 64

_COEFFICIENTS = 64  # of a block
_UNSENT = 16  # more bits than a coefficient has


def first_jpeg(data: bytes) -> bytes:
    """Cut out the first picture.

    Raises:
        ValueError: it is incomplete.
        IndexError: likewise.
    """
    view = memoryview(data)  # whose slices are no copies
    kept, frame, scans, about = [view[:2]], b"", [], 0
    for marker, start, stop in _segments(data):
        body = data[start + 4 : min(start + 4 + _HEAD_BYTES, stop)]
        if marker in _FRAMES:
            frame = bytes([marker]) + body
        elif marker == _SCAN:
            scans.append(body)
        elif about < MOST_ABOUT and body.startswith(_ABOUT.get(marker, ())):
            about += 1
        elif marker not in {_END, *_TABLES}:
            continue
        kept.append(view[start:stop])
        if marker == _SCAN and frame[0] in _SEQUENTIAL and frame[6] == body[0]:
            return b"".join(kept if stop == len(data) else [*kept, _LOOKAHEAD])
    _require_full_precision(frame, scans)
    return b"".join(kept)


def has_several_scans(picture: bytes) -> bool:
    """Whether the decoder has to keep every coefficient until the last scan; of a picture that `first_jpeg` cut out."""
    return picture.endswith(_END_MARKER)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, stop) of every segment of the first picture; a scan's reaches to the next marker."""
    at = 2
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None:
            return
        start, marker = found.start(), data[found.start() + 1]
        if marker in {_START, _END}:
            yield marker, start, start + 2
            return
        at = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if marker == _SCAN:
            behind = _MARKER.search(data, at)
            at = behind.start() if behind else len(data)
        yield marker, start, at
    raise ValueError(f"more than {MOST_SEGMENTS} segments")


def _require_full_precision(frame: bytes, scans: list[bytes]) -> None:
    """Every coefficient of every component must have got its last bit (ITU T.81, annex G)."""
    if len(scans) > MOST_SCANS:
        raise ValueError(f"more than {MOST_SCANS} scans")
    missing_bits = {component: [_UNSENT] * _COEFFICIENTS for component in frame[7 : 7 + 3 * frame[6] : 3]}
    for scan in scans:
        count = scan[0]
        first, last, bits = scan[1 + 2 * count : 4 + 2 * count]
        for component in scan[1 : 1 + 2 * count : 2]:
            missing_bits[component][first : last + 1] = [bits & 15] * (last + 1 - first)
    if any(any(bits) for bits in missing_bits.values()):
        raise ValueError("some of its scans are missing")
