"""Hostile files, each with the outcomes that are right for it. Drawn and damaged by seeds: the same on every machine.

A file whose first picture is whole may decode whatever else is wrong with it; then it must decode to exactly the
picture of the whole file (`same_as`).
"""

import functools
import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from handler.errors import Rejection
from tests.support.bombs import BOMBS
from tests.support.containers import box, exif, exif_bomb, png_chunk
from tests.support.pictures import encoded
from tests.support.samples import WHOLE, photo, with_exif

GOOD = frozenset({"success"})
CORRUPT = frozenset({Rejection.CORRUPT_IMAGE.value})
FOREIGN = frozenset({Rejection.UNSUPPORTED_FORMAT.value})
TOO_LARGE = frozenset({Rejection.TOO_MANY_PIXELS.value})
ANY = GOOD | CORRUPT | FOREIGN | TOO_LARGE

# Kinds with more in the file than the first picture: a cut may spare it. Behind others are a few bytes of no weight.
SEVERAL = ("mpo", "apng", "webp-animated", "gif-animated", "tiff-pages", "avif-animated", "heic-several")
LOOSE_ENDS = ("png", "jpeg", "gif", "bmp-1", "bmp-runs")
# Kinds whose every bit of the picture is under a checksum.
CHECKED = ("png", "apng")


@dataclass(frozen=True, slots=True)
class Sample:
    """A file.

    Attributes:
        name: unique.
        make: writes it.
        expected: the outcomes that are right.
        same_as: where it decodes, it must show what the sample of this name shows.
    """

    name: str
    make: Callable[[], bytes]
    expected: frozenset[str]
    same_as: str | None = None


def corpus() -> Iterator[Sample]:
    for name in WHOLE:
        yield Sample(name, partial(whole, name), GOOD)
        yield from _damaged(name)
    yield from _turned()
    yield from _ended_early()
    for name, data in lying().items():
        yield Sample(name, partial(bytes, data), CORRUPT | TOO_LARGE)
    for name, data in foreign().items():
        yield Sample(name, partial(bytes, data), FOREIGN)
    for name, (make, expected) in BOMBS.items():
        yield Sample(name, make, frozenset(expected.split()))


@functools.cache
def whole(name: str) -> bytes:
    return WHOLE[name]()


def dice(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def _damaged(name: str) -> Iterator[Sample]:
    spared = GOOD | CORRUPT
    for share in (0.03, 0.3, 0.6, 0.9):
        yield Sample(
            f"{name} cut at {share:.0%}",
            partial(cut, name, share),
            spared if name.startswith(SEVERAL) else CORRUPT,
            name,
        )
    loose = name.startswith((*SEVERAL, *LOOSE_ENDS))
    yield Sample(f"{name} without its last byte", partial(cut, name, 1), spared if loose else CORRUPT, name)
    checked = name if name.startswith(CHECKED) else None
    for flips in (1, 8, 60):
        yield Sample(f"{name} with {flips} flipped bits", partial(flipped, name, flips), ANY, checked)
    yield Sample(f"{name} with a hole", partial(holed, name, 200), ANY, checked)
    yield Sample(f"{name} that ends in zeros", partial(holed, name, 1 << 20), ANY, checked)
    yield Sample(f"{name} and trash", partial(with_trash, name), GOOD, name)


def cut(name: str, share: float) -> bytes:
    return whole(name)[: max(16, min(int(len(whole(name)) * share), len(whole(name)) - 1))]


def flipped(name: str, flips: int) -> bytes:
    data, chance = bytearray(whole(name)), dice(f"{name} {flips}")
    for at in chance.integers(0, len(data), flips):
        data[at] ^= 1 << int(chance.integers(8))
    return bytes(data)


def holed(name: str, length: int) -> bytes:
    data = whole(name)
    middle = len(data) // 2
    return data[:middle] + bytes(min(length, len(data) - middle)) + data[middle + length :]


def with_trash(name: str) -> bytes:
    return whole(name) + dice(name).bytes(5000)


def _turned() -> Iterator[Sample]:
    """EXIF, right and wrong."""
    for kind in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF"):
        plain = f"{kind} without EXIF"
        yield Sample(plain, partial(encoded, photo(), kind), GOOD)
        for value in range(1, 9):
            yield Sample(f"{kind} turned {value}", partial(encoded, photo(), kind, exif=exif(value)), GOOD)
        for fault, block in damaged_exif().items():
            yield Sample(f"{kind} {fault}", partial(with_exif, kind, block), GOOD, plain)
    for value in range(10):
        yield Sample(f"TIFF turned {value}", partial(encoded, photo(), "TIFF", tiffinfo={274: value}), GOOD)


def damaged_exif() -> dict[str, bytes]:
    return {
        "orientation 0": exif(0),
        "orientation 9": exif(9),
        "orientation 65535": exif(65535, order=">"),
        "orientation as text": exif(0x36, kind=2),
        "orientation of no known type": exif(6, kind=99),
        "orientation beyond the block": exif(6, count=4000),
        "EXIF cut short": exif(6)[:12],
        "EXIF of directories in a circle": exif(1)[:-4] + b"\x08\0\0\0",
        "EXIF of noise": b"Exif\0\0" + dice("EXIF").bytes(300),
        "EXIF with a long list": exif_bomb(20_000),
    }


def _ended_early() -> Iterator[Sample]:
    """Cut short, and ended as if nothing had happened."""
    for name in (name for name in WHOLE if name.startswith(("jpeg", "gif", "png"))):
        end = {"j": b"\xff\xd9", "g": b"\0;", "p": png_chunk(b"IEND", b"")}[name[0]]
        several = name.startswith(SEVERAL)
        for share in (0.25, 0.45):
            yield Sample(
                f"{name} ended at {share:.0%}",
                partial(_joined, name, share, end),
                CORRUPT | GOOD if several else CORRUPT,
                name if several else None,
            )


def _joined(name: str, share: float, end: bytes) -> bytes:
    return cut(name, share) + end


def lying() -> dict[str, bytes]:
    """The first bytes of one format, the rest of another."""
    heads = {"jpeg": 3, "png-RGB": 8, "gif": 6, "bmp-RGB": 2, "tiff-raw": 4, "webp": 16, "avif": 32, "heic": 32}
    found = {}
    for front, length in heads.items():
        for back in heads:
            if front != back and {front, back} != {"avif", "heic"}:
                found[f"{front} before {back}"] = whole(front)[:length] + whole(back)
                found[f"{front} over {back}"] = whole(front)[:length] + whole(back)[length:]
    found |= {f"{front} and nothing else": whole(front)[:length] for front, length in heads.items()}
    return found


def foreign() -> dict[str, bytes]:
    noise = dice("noise")
    found = {f"noise {length}": b"\1" + noise.bytes(length) for length in (1, 10, 1000, 100_000)}
    found |= {kind: encoded(photo(), kind) for kind in ("ICO", "JPEG2000", "TGA", "PPM", "PCX", "PDF", "SGI", "DDS")}
    found |= {f"zeros {length}": bytes(length) for length in (0, 1, 12, 4096)}
    return found | {
        "text": b"A picture of a cat.\n" * 50,
        "SVG": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "SVG bomb": b'<!DOCTYPE s [<!ENTITY a "' + b"a" * 9999 + b'">]><svg>' + b"&a;" * 99999 + b"</svg>",
        "HTML": b"<!doctype html><html><body><img src=x onerror=alert(1)></body></html>",
        "JSON": b'{"image": "data:image/png;base64,iVBORw0KGgo="}',
        "JSON depth": b"[" * 200_000,
        "PSD": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x10\0\0\0\x10\0\x08\0\3" + bytes(900),
        "MP4": box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41") + box(b"mdat", bytes(999)),
        "QuickTime": box(b"ftyp", b"qt  \0\0\2\0qt  ") + box(b"moov", bytes(99)),
        "WAV": b"RIFF\x24\0\0\0WAVEfmt " + bytes(30),
        "gzip of a JPEG": gzip.compress(whole("jpeg"), mtime=0),
        "zip": b"PK\3\4" + bytes(60),
        "a JPEG behind a line break": b"\n" + whole("jpeg"),
        "a JPEG in base64": b"/9j/4AAQSkZJRgABAQAAAQABAAD",
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99999 99999\n",
        "ELF": b"\x7fELF\2\1\1" + bytes(200),
        "half a magic": b"\x89PNG\r\n",
    }
