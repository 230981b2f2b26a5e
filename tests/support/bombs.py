"""Small files that ask for much: pixels, bytes or time."""

import struct
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from PIL import Image

from tests.support.containers import (
    black_png,
    black_tiff,
    bmp_rows,
    bmp_runs,
    box,
    exif,
    exif_bomb,
    jpeg_segment,
    png,
    png_chunk,
    tiff,
    zlib_zeros,
)
from tests.support.pictures import encoded
from tests.support.samples import photo, with_exif

GOOD, CORRUPT, TOO_LARGE, FOREIGN = "success", "corrupt_image", "too_many_pixels", "unsupported_format"
REFUSED = f"{CORRUPT} {TOO_LARGE}"

UNDER, OVER = (10_000, 9_999), (10_000, 10_001)
HALF_UNDER, HALF_OVER = (10_000, 5_000), (10_000, 5_001)
LAB_UNDER, LAB_OVER = (10_000, 2_500), (10_000, 2_501)


def flat(kind: str, size: tuple[int, int], mode: str = "RGB", **options: Any) -> bytes:
    return encoded(Image.new(mode, size, 77 if mode == "L" else None), kind, **options)


def patched(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new, 1)


def claiming(kind: str, width: int, height: int) -> bytes:
    """A small picture whose header claims another size."""
    data = encoded(photo(), kind)
    was, now = photo().size, (width, height)
    if kind == "JPEG":
        was, now = was[::-1], now[::-1]
    layouts = {"JPEG": ">HH", "GIF": "<HH", "BMP": "<ll", "AVIF": ">LL", "HEIF": ">LL"}
    if kind in layouts:
        start = max(data.find(b"ispe"), 0)
        return data[:start] + patched(data[start:], struct.pack(layouts[kind], *was), struct.pack(layouts[kind], *now))
    if kind == "PNG":
        return black_png(now)[:33] + data[33:]
    if kind == "TIFF":
        return tiff({256: (4, [width]), 257: (4, [height]), 258: (3, [8]), 262: (3, [1]), 273: (4, [0])}, bytes(99))
    canvas = struct.pack("<L", width - 1)[:3] + struct.pack("<L", height)[:3]
    return b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + canvas


def png_with(chunks: bytes) -> bytes:
    data = encoded(photo(), "PNG")
    return data[:33] + chunks + data[33:]


def jpeg_with(segments: bytes, behind: bytes = b"") -> bytes:
    data = encoded(photo(), "JPEG")
    return data[:2] + segments + data[2:-2] + behind + data[-2:]


def jpeg_of_scans(scans: int) -> bytes:
    """A progressive picture of 100 million pixels whose every scan says nothing, over and over."""
    data = encoded(Image.new("L", (16, 16)), "JPEG", progressive=True)
    data = patched(data, struct.pack(">HH", 16, 16), struct.pack(">HH", *UNDER))
    first = data.index(b"\xff\xda")
    return data[:first] + (jpeg_segment(0xDA, b"\1\1\0\1\5\2") + b"\0") * scans + b"\xff\xd9"


def gif_with(blocks: bytes) -> bytes:
    data = encoded(photo(), "GIF")
    at = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    return data[:at] + blocks + data[at:]


def disposing_gif() -> bytes:
    """A GIF whose small first frame claims 65,535 squared, to be wiped out when it has been shown."""
    data = gif_with(b"!\xf9\4\x08\0\0\0\0")
    return patched(
        data, b"," + struct.pack("<HHHH", 0, 0, *photo().size), b"," + struct.pack("<HHHH", 0, 0, 65535, 65535)
    )


def listed_tiff(tag: int, numbers: int) -> bytes:
    """A TIFF one tag of which is a long list."""
    tags = {256: (4, [64]), 257: (4, [64]), 258: (3, [8]), 262: (3, [1]), 273: (4, [0]), 278: (4, [1])}
    tags[tag] = (4 if tag == 273 else 3, [9] * numbers)
    return tiff(tags, bytes(64 * 64))


def sampled_tiff(kind: int, samples: int) -> bytes:
    """A grey picture that claims some samples a pixel, with as many as there is room for."""
    tags = {256: (4, [64]), 257: (4, [64]), 258: (3, [8]), 262: (3, [1]), 273: (4, [0]), 277: (kind, [samples])}
    return tiff(tags, bytes(64 * 64 * min(samples, 100)))


def tiff_of_directories() -> bytes:
    """Every entry is a directory, which begins in the middle of another entry and is thousands of entries long."""
    entries, length, exif_tag = 16_000, 4_000, 34_665
    starts = (10 + 12 * (number % (entries - length - 2)) + 2 for number in range(entries))
    body = b"".join(struct.pack("<HHLL", exif_tag, length, exif_tag, start) for start in starts)
    return b"II*\0" + struct.pack("<LH", 8, 12_000) + body


def tiff_of_shared_data(tags: int, size: int) -> bytes:
    """A deflated TIFF of tags nobody knows, whose data are the same bytes."""
    pixels = zlib.compress(bytes(64 * 64))
    known = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 278: 64, 279: len(pixels)}
    start = 14 + 12 * (len(known) + 1 + tags)
    entries = [struct.pack("<HHLL", tag, 4, 1, value) for tag, value in sorted((known | {273: start + size}).items())]
    entries += [struct.pack("<HHLL", 1000 + number, 7, size, start) for number in range(tags)]
    return b"II*\0" + struct.pack("<LH", 8, len(entries)) + b"".join(entries) + bytes(4 + size) + pixels


def heif_of_orientations() -> bytes:
    """An EXIF directory of 65,535 orientations."""
    entry = struct.pack("<HHLL", 0x0112, 3, 1, 6)
    return with_exif("HEIF", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + entry * 65_535 + bytes(4))


def zero_chunk(kind: bytes, name: bytes, size: int) -> bytes:
    return png_chunk(kind, name + b"\0\0" + zlib_zeros(size))


def _claims() -> Mapping[str, tuple[Callable[[], bytes], str]]:
    sizes = {"JPEG": 65_500, "GIF": 65_535, "WEBP": 1 << 24, "PNG": 100_000, "BMP": 100_000, "TIFF": 100_000}
    sizes |= {"AVIF": 65_535, "HEIF": 65_535}
    found: dict[str, tuple[Callable[[], bytes], str]] = {}
    for kind, side in sizes.items():
        found[f"{kind} claims {side} squared"] = (partial(claiming, kind, side, side), REFUSED)
        # A GIF may have a first frame that is smaller or larger than the canvas.
        expected = GOOD if kind == "GIF" else REFUSED
        found[f"{kind} claims 9,000 squared"] = (partial(claiming, kind, 9000, 9000), expected)
        found[f"{kind} claims no width"] = (partial(claiming, kind, 0 if kind != "WEBP" else 1, 90), expected)
    return found


def just_under_the_limit() -> Mapping[str, Callable[[], bytes]]:
    """Pictures as large as each format may be: up to 100 million pixels. They take the most time and memory."""
    turned = png_chunk(b"eXIf", exif(6)[6:])
    runs = (2_500, 2_000)
    return {
        "BMP in runs": lambda: bmp_runs(runs, bmp_rows(runs)),
        "PNG of 1 bit": partial(black_png, UNDER, 1, 0),
        "PNG of 16 bits and alpha": partial(black_png, UNDER, 16, 6),
        "PNG with alpha, turned": partial(black_png, UNDER, 8, 6, before=turned),
        "PNG row": partial(black_png, (9_990_000, 10), 16, 6),
        "PNG column": partial(black_png, (10, 9_990_000), 1, 0),
        "TIFF of floats": partial(black_tiff, UNDER, bits=32, form=3),
        "TIFF of long rows of floats": partial(black_tiff, (9_990_000, 10), bits=32, form=3),
        "TIFF of 64 bits a pixel": partial(black_tiff, HALF_UNDER, bits=16, samples=4, photometric=2),
        "TIFF in Lab": partial(black_tiff, LAB_UNDER, samples=3, photometric=8),
        "TIFF in CMYK": partial(black_tiff, UNDER, samples=4, photometric=5),
        "TIFF for a fax": partial(flat, "TIFF", UNDER, "1", compression="group4"),
        "GIF": partial(flat, "GIF", UNDER, "L"),
        "JPEG": partial(flat, "JPEG", UNDER, exif=exif(8)),
        "JPEG in CMYK": partial(flat, "JPEG", UNDER, "CMYK"),
        "progressive JPEG": partial(flat, "JPEG", UNDER, progressive=True),
        "progressive JPEG in CMYK": partial(flat, "JPEG", HALF_UNDER, "CMYK", progressive=True),
        "BMP of 1 bit": partial(flat, "BMP", UNDER, "1"),
        "WebP": partial(flat, "WEBP", HALF_UNDER, method=0),
        "WebP with alpha": partial(flat, "WEBP", HALF_UNDER, "RGBA", method=0, lossless=True),
        "AVIF with alpha": partial(flat, "AVIF", (8_000, 6_200), "RGBA", speed=10, quality=30, subsampling="4:4:4"),
        "HEIC": partial(flat, "HEIF", (7_000, 7_000), quality=20, enc_params={"preset": "ultrafast"}),
    }


def _just_over_the_limit() -> Mapping[str, tuple[Callable[[], bytes], str]]:
    return {
        "BMP in runs, just over the limit": (lambda: bmp_runs((2_500, 2_001), bmp_rows((2_500, 2_001))), TOO_LARGE),
        "PNG of too many rows": (partial(black_png, (2, 49_000_000), 1, 0), TOO_LARGE),
        "PNG of too long a row": (partial(black_png, (99_000_000, 1), 16, 6), TOO_LARGE),
        "TIFF of too long a row": (partial(black_tiff, (90_000_000, 1), bits=32, form=3), TOO_LARGE),
        "PNG just over the limit": (partial(black_png, OVER, 1, 0), TOO_LARGE),
        "TIFF just over the limit": (partial(black_tiff, OVER), TOO_LARGE),
        "TIFF of 48 bits a pixel just over the limit": (
            partial(black_tiff, HALF_OVER, bits=16, samples=3, photometric=2),
            TOO_LARGE,
        ),
        "TIFF in Lab just over the limit": (partial(black_tiff, LAB_OVER, samples=3, photometric=8), TOO_LARGE),
        "BMP just over the limit": (partial(flat, "BMP", OVER, "1"), TOO_LARGE),
        "JPEG of 200 million pixels": (partial(flat, "JPEG", (16_320, 12_240), "L"), GOOD),
        "JPEG just over the limit of reduced ones": (partial(claiming, "JPEG", 20_000, 20_001), TOO_LARGE),
        "progressive JPEG just over the limit": (
            partial(flat, "JPEG", HALF_OVER, progressive=True, subsampling=0),
            TOO_LARGE,
        ),
        "WebP just over the limit": (partial(claiming, "WEBP", *HALF_OVER), REFUSED),
    }


BOMBS: Mapping[str, tuple[Callable[[], bytes], str]] = {
    **_claims(),
    **_just_over_the_limit(),
    "PNG of 1 GB of data for 8 pixels": (lambda: png((4, 2), (8, 2), zlib_zeros(10**9)), GOOD),
    "PNG with a profile of 500 MB": (lambda: png_with(zero_chunk(b"iCCP", b"p", 500_000_000)), GOOD),
    "PNG with a text of 500 MB": (lambda: png_with(zero_chunk(b"zTXt", b"t", 500_000_000)), GOOD),
    "PNG with 20,000 profiles of 1 MB": (lambda: png_with(zero_chunk(b"iCCP", b"p", 1_000_000) * 20_000), GOOD),
    "PNG with 20,000 spoilt texts of 1 MB": (
        lambda: png_with(png_chunk(b"zTXt", b"t\0\0" + zlib_zeros(1_000_000)[:-4] + b"spoilt") * 20_000),
        GOOD,
    ),
    "PNG of a million chunks": (lambda: png_with(png_chunk(b"tIME", b"") * 1_000_000), CORRUPT),
    "PNG with EXIF in a long list": (lambda: png_with(png_chunk(b"eXIf", exif_bomb(8_000_000)[6:])), GOOD),
    "JPEG of a million comments": (lambda: jpeg_with(jpeg_segment(0xFE, b"") * 1_000_000), CORRUPT),
    "JPEG with 500 EXIF blocks": (lambda: jpeg_with(jpeg_segment(0xE1, exif(6).ljust(65_000)) * 500), GOOD),
    "JPEG of Photoshop blocks": (
        lambda: jpeg_with(jpeg_segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5_000) * 500),
        GOOD,
    ),
    "JPEG of a hundred scans": (partial(jpeg_of_scans, 100), CORRUPT),
    "JPEG of 100,000 scans": (partial(jpeg_of_scans, 100_000), CORRUPT),
    "GIF of a million blocks": (lambda: gif_with(b"!\xfe" + b"\1a" * 4_000_000 + b"\0"), GOOD),
    "GIF of 20 million blocks": (lambda: gif_with(b"!\xfe" + b"\1a" * 20_000_000 + b"\0"), CORRUPT),
    "GIF of a million comments": (lambda: gif_with(b"!\xfe\1a\0" * 1_000_000), CORRUPT),
    "GIF that wipes out a bomb": (disposing_gif, REFUSED),
    "GIF with padding": (lambda: gif_with(bytes(10_000_000)), CORRUPT),
    "BMP of runs that go nowhere": (lambda: bmp_runs((2_000, 2_000), b"\0\2\0\0" * 12_000_000), CORRUPT),
    "BMP of runs without an end": (lambda: bmp_runs((2_000, 2_000), b"\1\1" * 2_000_000), f"{GOOD} {CORRUPT}"),
    "BMP of short rows": (lambda: bmp_runs((2_500, 2_000), b"\1\1\0\0" * 2_000), GOOD),
    "TIFF of 8 million strips": (partial(listed_tiff, 273, 8_000_000), CORRUPT),
    "TIFF of 190,000 strips": (partial(listed_tiff, 273, 190_000), REFUSED + " " + GOOD),
    "TIFF of 74 samples a pixel": (partial(sampled_tiff, 3, 74), FOREIGN),
    "TIFF of 4 billion samples a pixel": (partial(sampled_tiff, 4, (1 << 32) - 1), TOO_LARGE),
    "TIFF of directories in directories": (tiff_of_directories, CORRUPT),
    "TIFF of tags that share their data": (partial(tiff_of_shared_data, 10_000, 1_000_000), CORRUPT),
    "TIFF with a long list": (partial(listed_tiff, 258, 8_000_000), CORRUPT),
    "TIFF with a tag nobody knows": (partial(listed_tiff, 65_000, 8_000_000), CORRUPT),
    "TIFF of more data than pixels": (
        lambda: tiff(
            {
                256: (4, [8]),
                257: (4, [8]),
                258: (3, [8]),
                259: (3, [8]),
                262: (3, [1]),
                273: (4, [0]),
                279: (4, [len(zlib_zeros(10**9))]),
            },
            zlib_zeros(10**9),
        ),
        f"{GOOD} {CORRUPT}",
    ),
    "WebP with EXIF in a long list": (partial(with_exif, "WEBP", exif_bomb(8_000_000)), GOOD),
    "AVIF with EXIF in a long list": (partial(with_exif, "AVIF", exif_bomb(8_000_000)), GOOD),
    "HEIC with EXIF in a long list": (partial(with_exif, "HEIF", exif_bomb(8_000_000)), GOOD),
    "HEIC of 65,535 orientations": (heif_of_orientations, GOOD),
    "AVIF of metadata": (lambda: box(b"ftyp", b"avif\0\0\0\0avifmif1miaf") + box(b"meta", bytes(9_000_000)), CORRUPT),
    "gzip bomb called a PNG": (lambda: b"\x89PNG\r\n\x1a\n" + zlib.compress(bytes(10_000_000)), CORRUPT),
}
