"""HEIC, AVIF: alpha, crop, rotation, mirror, several pictures. WebP: alpha, animation, metadata. GIF: canvases."""

import struct
from collections.abc import Iterator

import numpy as np
import pillow_heif
from PIL import Image

from tests.formats.case import Case, Pixels, alpha, over_white, picture, smooth
from tests.formats.turned import STORED
from tests.support.containers import box, exif
from tests.support.pictures import encoded

pillow_heif.register_heif_opener()

LOSSY = (
    8.0  # mean difference, in levels of 255, that subsampled colours of the test card have; a turned one differs by 60
)
CROP = (16, 10, 96, 72)  # left, top, width, height

# irot (anticlockwise quarter turns) and imir (0: top and bottom change places, 1: left and right).
TURNS = {
    "irot 1": (b"irot", 1, Image.Transpose.ROTATE_90),
    "irot 2": (b"irot", 2, Image.Transpose.ROTATE_180),
    "irot 3": (b"irot", 3, Image.Transpose.ROTATE_270),
    "imir 0": (b"imir", 0, Image.Transpose.FLIP_TOP_BOTTOM),
    "imir 1": (b"imir", 1, Image.Transpose.FLIP_LEFT_RIGHT),
}


def cases() -> Iterator[Case]:
    for kind, name in (("AVIF", "AVIF"), ("HEIF", "HEIC")):
        yield from _heif(kind, name)
    yield from _webp()
    yield from _gif()


def _heif(kind: str, name: str) -> Iterator[Case]:
    plain = encoded(Image.fromarray(smooth()), kind, quality=95)
    yield Case(name, "opaque", plain, smooth(), LOSSY)
    see_through = Image.fromarray(np.dstack([smooth(), alpha()]))
    transparent = encoded(see_through, kind, quality=95)
    expected = over_white(smooth(), alpha())
    yield Case(f"{name} with alpha", "8 bits", transparent, expected, LOSSY)
    apart = with_two_associations(transparent)
    yield Case(f"{name} with alpha", "properties of each item in a box of its own", apart, expected, LOSSY)
    sequence = encoded(
        Image.fromarray(smooth()), kind, save_all=True, append_images=[Image.new("RGB", (120, 90), "red")], quality=95
    )
    yield Case(f"{name} of several pictures", "the first", sequence, smooth(), LOSSY)
    cropped = with_properties(plain, clap(CROP, (120, 90)))
    left, top, width, height = CROP
    part = smooth()[top : top + height, left : left + width]
    yield Case(f"{name} with a crop", "clap", cropped, part, LOSSY)
    for words, (property_kind, value, turn) in TURNS.items():
        turned = np.asarray(Image.fromarray(smooth()).transpose(turn))
        data = with_properties(plain, box(property_kind, bytes([value])))
        yield Case(f"{name} turned by its boxes", words, data, turned, LOSSY)
        both = with_properties(plain, clap(CROP, (120, 90)) + box(property_kind, bytes([value])))
        shown = np.asarray(Image.fromarray(part).transpose(turn))
        yield Case(f"{name} with a crop and turned", words, both, shown, LOSSY)
    upright = encoded(Image.fromarray(smooth()), kind, quality=95, xmp=b'<x tiff:Orientation="1"/>')
    stale = upright.replace(b'Orientation="1"', b'Orientation="6"')  # an encoder would turn it by its boxes
    yield Case(f"{name} with a stale XMP orientation", "6", stale, smooth(), LOSSY)


def with_two_associations(data: bytes) -> bytes:
    """The file with an `ipma` box for each of its items, as some encoders write it."""
    at = data.index(b"ipma") - 4
    stop = at + int.from_bytes(data[at : at + 4], "big")
    head, count, entries = data[at + 8 : at + 12], int.from_bytes(data[at + 12 : at + 16], "big"), data[at + 16 : stop]
    assert head == bytes(4)
    parts = []
    while entries:
        length = 3 + entries[2]
        parts.append(box(b"ipma", head + (1).to_bytes(4, "big") + entries[:length]))
        entries = entries[length:]
    assert len(parts) == count > 1
    grown, more = data[:at] + b"".join(parts) + data[stop:], sum(map(len, parts)) - (stop - at)
    for kind in (b"iprp", b"meta"):
        start = grown.index(kind) - 4
        size = int.from_bytes(grown[start : start + 4], "big") + more
        grown = grown[:start] + size.to_bytes(4, "big") + grown[start + 4 :]
    return _moved(grown, more)


def clap(crop: tuple[int, int, int, int], size: tuple[int, int]) -> bytes:
    """The clean aperture: width, height, and the offsets of its centre (ISO 14496-12, section 12.1.4)."""
    left, top, width, height = crop
    across, down = 2 * left + width - size[0], 2 * top + height - size[1]
    return box(b"clap", struct.pack(">LLLLlLlL", width, 1, height, 1, across, 2, down, 2))


def with_properties(data: bytes, boxes: bytes) -> bytes:
    """The file with more properties of its primary item: behind the others in `ipco`, essential in `ipma`."""
    added = list(_kinds_of(boxes))
    container = data.index(b"ipco") - 4
    size = int.from_bytes(data[container : container + 4], "big")
    before = len(list(_kinds_of(data[container + 8 : container + size])))
    mapping = data.index(b"ipma") - 4
    numbers = bytes(0x80 | (before + 1 + number) for number in range(len(added)))
    count_at = mapping + 8 + 4 + 4 + 2  # behind the full box's head, the number of entries and the first item's id
    grown = data[:mapping] + data[mapping:count_at] + bytes([data[count_at] + len(added)])
    associated = data[count_at + 1 : count_at + 1 + data[count_at]]
    grown += associated + numbers + data[count_at + 1 + data[count_at] :]
    grown = grown[: container + size] + boxes + grown[container + size :]
    sizes = {b"ipco": len(boxes), b"ipma": len(numbers)}
    sizes |= {b"iprp": len(boxes) + len(numbers), b"meta": len(boxes) + len(numbers)}
    for kind, more in sizes.items():
        at = grown.index(kind) - 4
        grown = grown[:at] + (int.from_bytes(grown[at : at + 4], "big") + more).to_bytes(4, "big") + grown[at + 4 :]
    return _moved(grown, len(boxes) + len(numbers))


def _kinds_of(boxes: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(boxes):
        yield boxes[at + 4 : at + 8]
        at += int.from_bytes(boxes[at : at + 4], "big")


def _moved(data: bytes, by: int) -> bytes:
    """Every extent of `iloc` (version 0 to 2, one offset of four bytes an extent) by some bytes further."""
    start = data.index(b"iloc") + 4
    version, sizes = data[start], data[start + 4]
    assert sizes >> 4 == sizes & 15 == 4
    assert data[start + 5] >> 4 in {0, 4}
    base, index = data[start + 5] >> 4, data[start + 5] & 15
    id_bytes = 4 if version == 2 else 2
    at = start + 6 + id_bytes
    changed = bytearray(data)
    for _ in range(int.from_bytes(data[start + 6 : start + 6 + id_bytes], "big")):
        at += id_bytes + (2 if version else 0) + 2 + base
        extents = int.from_bytes(data[at : at + 2], "big")
        at += 2
        for _ in range(extents):
            at += index if version else 0
            changed[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") + by).to_bytes(4, "big")
            at += 8
    return bytes(changed)


def _webp() -> Iterator[Case]:
    rgb = Image.fromarray(picture())
    see_through = Image.fromarray(np.dstack([picture(), alpha()]))
    shown = over_white(picture(), alpha())
    whole = encoded(rgb, "WEBP", lossless=True)
    yield Case("WebP", "lossless", whole, picture())
    yield Case("WebP", "lossy", encoded(Image.fromarray(smooth()), "WEBP", quality=95), smooth(), LOSSY)
    yield Case("WebP with alpha", "lossless", encoded(see_through, "WEBP", lossless=True, exact=True), shown)
    lossy = encoded(Image.fromarray(np.dstack([smooth(), alpha()])), "WEBP", quality=95)
    yield Case("WebP with alpha", "lossy", lossy, over_white(smooth(), alpha()), LOSSY)
    moving = encoded(
        see_through, "WEBP", save_all=True, append_images=[Image.new("RGBA", (120, 90), "red")], lossless=True
    )
    yield Case("WebP animation", "the first frame", moving, shown, 0.1)
    for orientation, turn in STORED.items():
        data = encoded(rgb.transpose(turn), "WEBP", lossless=True, exif=exif(orientation))
        yield Case("WebP with EXIF", f"orientation {orientation}", data, picture())
    described = encoded(rgb, "WEBP", lossless=True, xmp=b'<x tiff:Orientation="6"/>', exif=exif(1))
    yield Case("WebP with a stale XMP orientation", "6", described, picture())
    yield Case("WebP whose metadata is cut short", "XMP", described[:-9], picture())
    yield Case("WebP whose metadata is cut short", "all", described[: described.index(b"EXIF") + 10], picture())


def _gif() -> Iterator[Case]:
    palette = Image.fromarray(picture()).convert("P", palette=Image.Palette.ADAPTIVE)
    shown = np.asarray(palette.convert("RGB"))
    plain = encoded(palette, "GIF", interlace=0)
    yield Case("GIF", "the frame is the canvas", plain, shown)
    yield Case("GIF", "interlaced", encoded(palette, "GIF", interlace=1), shown)
    for name, canvas, offset in (
        ("larger", (150, 130), (0, 0)),
        ("larger, frame inside", (150, 130), (17, 23)),
        ("smaller than the frame", (50, 40), (0, 0)),
        ("of no size", (0, 0), (0, 0)),
        ("left by the frame", (120, 90), (30, 20)),
    ):
        yield Case(
            f"GIF on a canvas that is {name}",
            f"{canvas}",
            placed(plain, canvas, offset),
            on_canvas(shown, canvas, offset),
        )
    clear = palette.copy()
    clear.info["transparency"] = int(np.asarray(palette)[45, 60])
    hidden = np.asarray(palette)[..., np.newaxis] == clear.info["transparency"]
    yield Case(
        "GIF with a transparent colour", "one", encoded(clear, "GIF"), np.where(hidden, 255, shown).astype(np.uint8)
    )


def on_canvas(frame: Pixels, canvas: tuple[int, int], offset: tuple[int, int]) -> Pixels:
    """A frame on a white canvas that is large enough for it."""
    height, width, _ = frame.shape
    size = (max(canvas[1], offset[1] + height), max(canvas[0], offset[0] + width), 3)
    shown = np.full(size, 255, np.uint8)
    shown[offset[1] : offset[1] + height, offset[0] : offset[0] + width] = frame
    return shown


def placed(data: bytes, canvas: tuple[int, int], offset: tuple[int, int]) -> bytes:
    """A GIF of one frame on another canvas."""
    palette_end = 13 + (6 << (data[10] & 7) if data[10] & 0x80 else 0)
    at = data.index(b"\x2c\0\0\0\0" + data[6:10], palette_end)
    moved = data[:6] + struct.pack("<HH", *canvas) + data[10 : at + 1] + struct.pack("<HH", *offset)
    return moved + data[at + 5 :]
