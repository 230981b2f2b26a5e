"""PNG: the first picture cut out, and transparency by a key colour.

Kept are the chunks that pixels depend on: IHDR, PLTE, tRNS, IDAT, IEND. One of them with a wrong checksum is damage;
any other one is left out, whole or not, as the specification lets decoders do (PNG, third edition, section 13.2). Of an
APNG that is the picture which decoders without animation show (section 4.9).

Pillow compares a key colour with samples that it has scaled already, so only keys of 8 bits ever match. Here the key is
compared with the samples as they are in the file.
"""

import io
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from handler.errors import RejectedError, Rejection
from handler.images.convert import strips, to_rgb
from handler.images.frame import Frame

Samples = npt.NDArray[Any]

# More than real files have, and few enough to walk through in an instant.
_MOST_CHUNKS = 50_000

# EXIF is at most 64 KiB where cameras write it; a chunk sets no limit.
_MOST_METADATA_BYTES = 1 << 20

_SIGNATURE_BYTES, _HEADER_BYTES, _DEPTH_AT, _COLOUR_AT = 8, 33, 24, 25
_PICTURE = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_GREY, _COLOUR = 0, 2
_TEXT_EXIF = b"Raw profile type exif\0"  # as ImageMagick and others wrote it before there was eXIf


def first_png(data: bytes) -> tuple[Frame, bytes]:
    """Cut out the first picture.

    Returns:
        (the file without a key colour; the tRNS chunk's body where it is one, else nothing).

    Raises:
        ValueError: a checksum is wrong.
        RejectedError: `unsupported_format`, Apple's own variety.
    """
    view = memoryview(data)
    kept, exif, key, has_data = [view[:_SIGNATURE_BYTES]], b"", b"", False
    keyed = len(data) > _HEADER_BYTES and data[_COLOUR_AT] in {_GREY, _COLOUR}
    for kind, start, stop in _chunks(data):
        if kind == b"CgBI":
            raise RejectedError(Rejection.UNSUPPORTED_FORMAT, "a PNG of Apple's own variety (CgBI)")
        body = view[start + 8 : stop - 4]
        if kind == b"tRNS" and not has_data:
            _require_checksum(data, start, stop)
            if keyed:
                key = bytes(body)
            else:
                kept.append(view[start:stop])
        elif kind in _PICTURE:
            if kind != b"IEND" and stop < len(data):
                _require_checksum(data, start, stop)
            has_data = has_data or kind == b"IDAT"
            kept.append(view[start:stop])
        elif not exif and len(body) <= _MOST_METADATA_BYTES and _has_checksum(data, start, stop):
            exif = _exif(kind, bytes(body))
    return Frame(b"".join(kept), exif), key


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, stop) of every chunk up to IEND; of one that the file ends in, only where it is image data."""
    at = _SIGNATURE_BYTES
    for _ in range(_MOST_CHUNKS):
        kind = data[at + 4 : at + 8]
        stop = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if stop > len(data):
            if kind == b"IDAT":
                yield kind, at, len(data)
            return
        yield kind, at, stop
        if kind == b"IEND":
            return
        at = stop
    raise ValueError(f"more than {_MOST_CHUNKS} chunks")


def _has_checksum(data: bytes, start: int, stop: int) -> bool:
    return zlib.crc32(memoryview(data)[start + 4 : stop - 4]) == int.from_bytes(data[stop - 4 : stop], "big")


def _require_checksum(data: bytes, start: int, stop: int) -> None:
    if not _has_checksum(data, start, stop):
        raise ValueError(f"a chunk {data[start + 4 : start + 8]!r} with a wrong checksum")


def _exif(kind: bytes, body: bytes) -> bytes:
    """The EXIF block in a chunk; empty where it has none."""
    if kind == b"eXIf":
        return body
    try:
        if kind == b"zTXt" and body.startswith(_TEXT_EXIF):
            unpacked = zlib.decompressobj().decompress(body[len(_TEXT_EXIF) + 1 :], 2 * _MOST_METADATA_BYTES)
        elif kind == b"tEXt" and body.startswith(_TEXT_EXIF):
            unpacked = body[len(_TEXT_EXIF) :]
        else:
            return b""
        return bytes.fromhex("".join(unpacked.decode("latin-1").split("\n")[3:]))
    except (zlib.error, ValueError):
        return b""


def with_key_over_white(opened: Image.Image, picture: bytes, key: bytes) -> Image.Image:
    """RGB of a loaded picture, white where a pixel has the key colour; `picture` is its file.

    Raises:
        ValueError: the key is too short.
    """
    depth, channels = picture[_DEPTH_AT], 3 if picture[_COLOUR_AT] == _COLOUR else 1
    if len(key) < 2 * channels:
        raise ValueError("a transparent colour that is too short")
    wanted = np.frombuffer(key, ">u2", channels).astype(np.uint32) & ((1 << depth) - 1)
    low = _low_bytes(picture) if depth == 16 and channels > 1 else None
    rgb = Image.new("RGB", opened.size)
    for box in strips(opened.size):
        strip = opened.crop(box)
        matches = _matches(_samples(strip), None if low is None else _samples(low.crop(box)), wanted, depth)
        shown = np.where(matches.all(axis=2, keepdims=True), np.uint8(255), np.asarray(to_rgb(strip)))
        rgb.paste(Image.fromarray(shown), box)
    return rgb


def _matches(samples: Samples, low: Samples | None, wanted: Samples, depth: int) -> Samples:
    matches: Samples
    if low is not None:
        matches = (samples == (wanted >> 8)) & (low == (wanted & 255))
    else:
        matches = samples == (wanted if depth == 16 else wanted * 255 // ((1 << depth) - 1))
    return matches


def _samples(image: Image.Image) -> Samples:
    samples = np.asarray(image.convert("L") if image.mode == "1" else image)
    return samples[..., np.newaxis] if samples.ndim == 2 else samples


def _low_bytes(picture: bytes) -> Image.Image:
    """The lower 8 of 16 bits of each sample: Pillow keeps the byte that it believes to be the upper one."""
    with Image.open(io.BytesIO(picture), formats=["PNG"]) as opened:
        opened.tile = [tile._replace(args="RGB;16L") for tile in opened.tile]
        opened.load()
        return opened.copy()
