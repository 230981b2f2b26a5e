"""PNG: every colour type and depth by transparency by interlacing by orientation, and damage that does not matter."""

import itertools
import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.formats.case import (
    SIZE,
    Case,
    Pixels,
    alpha,
    from_depth,
    grey,
    over_white,
    packed_rows,
    picture,
    shown,
    to_depth,
)
from tests.formats.turned import STORED
from tests.support.containers import exif, png, png_chunk
from tests.support.samples import ADAM7

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6

Samples = npt.NDArray[np.uint64]


def png_of(samples: Samples, depth: int, colour: int, *, before: bytes = b"", interlaced: bool = False) -> bytes:
    """The file of samples (H, W, channels)."""
    rows = b""
    for left, top, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        part = samples[top::down, left::across]
        if part.size:
            rows += b"".join(b"\0" + row for row in packed_rows(part.reshape(len(part), -1), depth))
    height, width, _ = samples.shape
    return png((width, height), (depth, colour), zlib.compress(rows), before=before, interlaced=interlaced)


def cases() -> Iterator[Case]:
    for interlaced in (False, True):
        name = "Adam7" if interlaced else "not interlaced"
        for kind, depth, colour, samples, before, expected in _kinds():
            yield Case(
                f"PNG {kind}", name, png_of(samples, depth, colour, before=before, interlaced=interlaced), expected
            )
    yield from _orientations()
    yield from _damaged()


def _kinds() -> Iterator[tuple[str, int, int, Samples, bytes, Pixels]]:
    for depth in (1, 2, 4, 8, 16):
        samples = to_depth(grey(), depth)[..., np.newaxis]
        expected = shown(from_depth(samples[..., 0], depth))
        yield f"grey {depth} bits", depth, GREY, samples, b"", expected
        key = int(samples[45, 60, 0])
        clear = np.where(samples == key, 255, expected).astype(np.uint8)
        yield f"grey {depth} bits with a key", depth, GREY, samples, _key(key), clear
    for depth in (8, 16):
        samples = to_depth(picture(), depth)
        yield f"RGB {depth} bits", depth, RGB, samples, b"", picture()
        colour_key = [int(value) for value in samples[45, 60]]
        clear = np.where((samples == colour_key).all(axis=2, keepdims=True), 255, picture()).astype(np.uint8)
        yield f"RGB {depth} bits with a key", depth, RGB, samples, _key(*colour_key), clear
        both = np.concatenate([to_depth(grey(), depth)[..., np.newaxis], to_depth(alpha(), depth)[..., np.newaxis]], 2)
        yield f"grey and alpha {depth} bits", depth, GREY_ALPHA, both, b"", over_white(shown(grey()), alpha())
        four = np.concatenate([samples, to_depth(alpha(), depth)[..., np.newaxis]], 2)
        yield f"RGB and alpha {depth} bits", depth, RGB_ALPHA, four, b"", over_white(picture(), alpha())
    yield from _near_keys()
    yield from _palettes()


def _key(*samples: int) -> bytes:
    return png_chunk(b"tRNS", b"".join(sample.to_bytes(2, "big") for sample in samples))


def _near_keys() -> Iterator[tuple[str, int, int, Samples, bytes, Pixels]]:
    """Keys of 16 bits that no sample equals, though its upper 8 bits do."""
    samples = to_depth(picture(), 16)
    near = _key(*(int(value) ^ 1 for value in samples[45, 60]))
    yield "RGB 16 bits with a key that is not there", 16, RGB, samples, near, picture()
    single = to_depth(grey(), 16)[..., np.newaxis]
    yield "grey 16 bits with a key that is not there", 16, GREY, single, _key(int(single[45, 60, 0]) ^ 1), shown(grey())


def _palettes() -> Iterator[tuple[str, int, int, Samples, bytes, Pixels]]:
    for depth in (1, 2, 4, 8):
        colours = np.random.default_rng(depth).integers(0, 256, (1 << depth, 3)).astype(np.uint8)
        opacity = np.linspace(0, 255, 1 << depth).astype(np.uint8)
        indices = to_depth(grey(), depth)[..., np.newaxis]
        flat = indices[..., 0].astype(int)
        palette = png_chunk(b"PLTE", colours.tobytes())
        yield f"palette {depth} bits", depth, PALETTE, indices, palette, colours[flat]
        clear = palette + png_chunk(b"tRNS", opacity[:-1].tobytes())
        yield (
            f"palette {depth} bits with alpha",
            depth,
            PALETTE,
            indices,
            clear,
            over_white(colours[flat], opacity[flat]),
        )


def _orientations() -> Iterator[Case]:
    for orientation, turn in STORED.items():
        stored = np.asarray(Image.fromarray(picture()).transpose(turn)).astype(np.uint64)
        block = png_chunk(b"eXIf", exif(orientation).removeprefix(b"Exif\0\0"))
        yield Case("PNG with eXIf", f"orientation {orientation}", png_of(stored, 8, RGB, before=block), picture())
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x tiff:Orientation="6"/>'
    stale = png_of(to_depth(picture(), 8), 8, RGB, before=png_chunk(b"iTXt", xmp))
    yield Case("PNG with a stale XMP orientation", "6", stale, picture())


def _damaged() -> Iterator[Case]:
    samples = to_depth(picture(), 8)
    for kind, body in itertools.product((b"tEXt", b"iCCP", b"eXIf", b"zTXt", b"prIv"), (b"Software\0x",)):
        chunk = png_chunk(kind, body)
        broken = chunk[:-1] + bytes([chunk[-1] ^ 1])
        data = png_of(samples, 8, RGB, before=broken)
        yield Case("PNG with a damaged chunk that no pixel depends on", kind.decode(), data, picture())
    flipped = bytearray(png_of(samples, 8, RGB))
    flipped[-20] ^= 1
    yield Case("PNG with damaged image data", "IDAT", bytes(flipped), None, refused="checksum")
    assert (picture().shape[1], picture().shape[0]) == SIZE
