"""The first picture of a JPEG file, cut out and found complete.

Kept are tables, frame, scans, and the JFIF and Adobe segments. libjpeg fills in whatever a scan lacks as soon as it
meets a marker, and Pillow does not report that. Therefore

- a picture in one scan is handed on without its end marker: a decoder that wants more data then finds none. Under a
  marker no more than the last block of 8 x 8 pixels may be missing unseen;
- a picture in several scans, progressive or not, must have every scan that full precision takes. Each but the last is
  complete when the next one follows;
- a picture without an end marker gets several endings: it is complete if it looks the same with each of them, because
  then no pixel depends on what is missing.

Of the processes of ITU T.81, the sequential, progressive and lossless ones with Huffman codes and the first two with
arithmetic codes are decoded, with samples of 8 bits; the other ones are `unsupported_format`.
"""

import re
from collections.abc import Iterator

from handler.errors import RejectedError, Rejection
from handler.frozen import frozen

_MOST_SEGMENTS = 10_000
_MOST_SCANS = 100
_MOST_KEPT = 100  # segments before further ones about the picture are left out

_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")  # neither a stuffed byte nor a restart
_START, _END, _SCAN, _EXIF = 0xD8, 0xD9, 0xDA, 0xE1
_END_MARKER = bytes([0xFF, _END])
_SEQUENTIAL, _PROGRESSIVE, _LOSSLESS, _ARITHMETIC = {0xC0, 0xC1}, {0xC2}, {0xC3}, {0xC9, 0xCA}
_DECODED = _SEQUENTIAL | _PROGRESSIVE | _LOSSLESS | _ARITHMETIC
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROCESSES = {
    0xC5: "hierarchical sequential",
    0xC6: "hierarchical progressive",
    0xC7: "hierarchical lossless",
    0xCB: "lossless arithmetic",
    0xCD: "hierarchical sequential arithmetic",
    0xCE: "hierarchical progressive arithmetic",
    0xCF: "hierarchical lossless arithmetic",
}
_SAMPLE_BITS = 8
_TABLES = {0xC4, 0xCC, 0xDB, 0xDD}
_ABOUT = {0xE0: (b"JFIF\0", 14), 0xEE: (b"Adobe", 12)}  # and the fewest bytes: Pillow fails on a shorter one

# As much as libjpeg looks ahead at the end of a scan. All ones: no picture has such a code.
_LOOKAHEAD = b"\xff\x00" * 8
_ENDINGS = (_LOOKAHEAD, bytes(16), b"\xaa" * 16, b"\x55" * 16)

# Of a segment, all that is looked at: of a frame with 10 components, as many as libjpeg takes, 36 bytes.
_HEAD_BYTES = 64

_COEFFICIENTS = 64  # of a block
_UNSENT = 16  # more bits than a coefficient has


@frozen
class Jpeg:
    """The first picture of a file.

    Attributes:
        data: the picture alone, as its decoder is to read it.
        exif: its EXIF block; empty where it has none.
        other_endings: where the file has no end marker: the same number of bytes to put in place of the last ones. The
            picture is complete if it stays the same.
        several_scans: the decoder has to keep every coefficient until the last scan.
        can_be_scaled: the decoder can leave detail out by itself.
        is_arithmetic: the decoder must be given all data at once.
    """

    data: bytes
    exif: bytes
    other_endings: tuple[bytes, ...]
    several_scans: bool
    can_be_scaled: bool
    is_arithmetic: bool


def first_jpeg(data: bytes) -> Jpeg:
    """Cut out the first picture.

    Raises:
        ValueError: it is incomplete.
        IndexError: likewise.
        RejectedError: `unsupported_format`, a process that is not decoded.
    """
    view = memoryview(data)  # whose slices are no copies
    kept, frame, exif, marker, stop = [view[:2]], b"", b"", 0, 0
    scans: list[bytes] = []
    for marker, start, stop in _segments(data):
        body = data[start + 4 : min(start + 4 + _HEAD_BYTES, stop)]
        if marker == _EXIF:
            exif = exif or (data[start + 4 : stop] if body.startswith(b"Exif\0\0") else b"")
            continue
        if marker in _FRAMES:
            frame = bytes([marker]) + body
            _refuse_unknown(frame)
        elif marker == _SCAN:
            scans.append(body)
        elif not (marker in {_END, *_TABLES} or (_is_about(marker, body) and len(kept) < _MOST_KEPT)):
            continue
        kept.append(view[start:stop])
        if marker == _SCAN and _is_only_scan(frame, body):
            break
    only_scan = _is_only_scan(frame, scans[-1])
    if not only_scan:
        _require_full_precision(frame, scans)
    is_cut = marker == _SCAN and stop == len(data)
    if is_cut and data.endswith(b"\xff"):
        kept[-1] = kept[-1][:-1]  # of an end marker
    first, *others = _endings(marker, only_scan=only_scan)
    return Jpeg(
        b"".join([*kept, first]),
        exif,
        tuple(others) if is_cut else (),
        not only_scan,
        frame[0] not in _LOSSLESS,
        frame[0] in _ARITHMETIC,
    )


def _endings(last_marker: int, *, only_scan: bool) -> tuple[bytes, ...]:
    """What to put behind the segments that are kept: the first one, or where data may be missing each in turn."""
    if last_marker == _END:
        return (b"",)
    endings = _ENDINGS if last_marker == _SCAN else (b"",)
    return endings if only_scan else tuple(ending + _END_MARKER for ending in endings)


def _refuse_unknown(frame: bytes) -> None:
    process, bits = frame[0], frame[1]
    if process not in _DECODED:
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"a {_PROCESSES[process]} JPEG")
    if bits != _SAMPLE_BITS:
        raise RejectedError(Rejection.UNSUPPORTED_FORMAT, f"a JPEG with samples of {bits} bits")


def _is_about(marker: int, body: bytes) -> bool:
    start, least = _ABOUT.get(marker, (b"", 0))
    return bool(start) and body.startswith(start) and len(body) >= least


def _is_only_scan(frame: bytes, scan: bytes) -> bool:
    """Whether a scan has all components of a picture whose decoder does without an end marker."""
    return frame[0] in _SEQUENTIAL | _LOSSLESS and frame[6] == scan[0]


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, stop) of every segment of the first picture; a scan's reaches to the next marker."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
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
    raise ValueError(f"more than {_MOST_SEGMENTS} segments")


def _require_full_precision(frame: bytes, scans: list[bytes]) -> None:
    """Every coefficient of every component must have got its last bit (ITU T.81, annex G)."""
    if len(scans) > _MOST_SCANS:
        raise ValueError(f"more than {_MOST_SCANS} scans")
    if frame[0] in _LOSSLESS:
        found = {component for scan in scans for component in scan[1 : 1 + 2 * scan[0] : 2]}
        if not found >= {*frame[7 : 7 + 3 * frame[6] : 3]}:
            raise ValueError("some of its scans are missing")
        return
    missing_bits = {component: [_UNSENT] * _COEFFICIENTS for component in frame[7 : 7 + 3 * frame[6] : 3]}
    for scan in scans:
        count = scan[0]
        first, last, bits = scan[1 + 2 * count : 4 + 2 * count]
        for component in scan[1 : 1 + 2 * count : 2]:
            missing_bits[component][first : last + 1] = [bits & 15] * (last + 1 - first)
    if any(any(bits) for bits in missing_bits.values()):
        raise ValueError("some of its scans are missing")
