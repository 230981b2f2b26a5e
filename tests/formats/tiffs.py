"""TIFF: every depth, sign and zero by colours by planes by compression by byte order by size of offsets."""

import dataclasses
import functools
import io
import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.formats.case import Case, Pixels, alpha, from_depth, grey, over_white, packed_rows, picture, shown, to_depth
from tests.support.containers import tiff

Samples = npt.NDArray[Any]
Tags = Mapping[int, tuple[int, Sequence[int]]]

WHITE, BLACK, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
COMPRESSIONS = {"none": 1, "LZW": 5, "deflate": 8, "PackBits": 32773}
STRIP_ROWS, TILE = 41, (64, 48)


@dataclass(frozen=True, slots=True)
class Layout:
    """How samples lie in the file."""

    compression: str = "none"
    order: str = "<"
    big: bool = False
    separate: bool = False
    tiled: bool = False
    predictor: bool = False

    @property
    def name(self) -> str:
        words = [self.compression, "little" if self.order == "<" else "big", "BigTIFF" if self.big else "classic"]
        flags = {"planes": self.separate, "tiles": self.tiled, "predictor": self.predictor}
        return ", ".join([*words, *(word for word, is_so in flags.items() if is_so)])


LAYOUTS = [
    Layout(*combination)
    for combination in itertools.product(COMPRESSIONS, "<>", (False, True), (False, True), (False, True))
]


def lzw(data: bytes) -> bytes:
    """TIFF 6.0, section 13: codes of 9 to 12 bits, the highest bit first."""
    codes: list[tuple[int, int]] = [(256, 9)]
    table: dict[bytes, int] = {bytes([value]): value for value in range(256)}
    following, width, prefix = 258, 9, b""
    for value in data:
        longer = prefix + bytes([value])
        if longer in table:
            prefix = longer
            continue
        codes.append((table[prefix], width))
        table[longer] = following
        following += 1
        width = 9 + sum(following > limit for limit in (511, 1023, 2047))
        if following > 4093:
            codes.append((256, width))
            table = {bytes([single]): single for single in range(256)}
            following, width = 258, 9
        prefix = bytes([value])
    codes.append((table[prefix], width))
    codes.append((257, 9 + sum(following + 1 > limit for limit in (511, 1023, 2047))))
    bits = "".join(f"{code:0{length}b}" for code, length in codes)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def packbits(data: bytes) -> bytes:
    """TIFF 6.0, section 9: runs where three bytes are equal, else as they are."""
    packed, at, literal = bytearray(), 0, bytearray()
    while at < len(data):
        run = 1
        while run < 128 and at + run < len(data) and data[at + run] == data[at]:
            run += 1
        if run < 3:
            literal.append(data[at])
            at += 1
        if literal and (run >= 3 or len(literal) == 128 or at == len(data)):
            packed += bytes([len(literal) - 1]) + literal
            literal = bytearray()
        if run >= 3:
            packed += bytes([257 - run, data[at]])
            at += run
    return bytes(packed)


PACK: Mapping[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "LZW": lzw,
    "deflate": zlib.compress,
    "PackBits": packbits,
}


def tiff_of(samples: Samples, bits: int, tags: Tags, layout: Layout) -> bytes:
    """The file of samples (H, W, channels): unsigned integers of any depth, or a numpy type of 8 to 64 bits."""
    height, width, channels = samples.shape
    planes = [samples[..., index : index + 1] for index in range(channels)] if layout.separate else [samples]
    parts = [part for plane in planes for part in _chunks(plane, bits, layout)]
    packed = [PACK[layout.compression](part) for part in parts]
    lengths = [len(part) for part in packed]
    offsets = [sum(lengths[:index]) for index in range(len(lengths))]
    own: dict[int, tuple[int, Sequence[int]]] = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * channels),
        259: (3, [COMPRESSIONS[layout.compression]]),
        277: (3, [channels]),
        284: (3, [2 if layout.separate else 1]),
    }
    if layout.predictor:
        own[317] = (3, [2])
    if layout.tiled:
        own |= {322: (3, [TILE[0]]), 323: (3, [TILE[1]]), 324: (4, offsets), 325: (4, lengths)}
    else:
        own |= {273: (4, offsets), 278: (3, [STRIP_ROWS]), 279: (4, lengths)}
    return tiff({**own, **tags}, b"".join(packed), order=layout.order, big=layout.big)


def _chunks(plane: Samples, bits: int, layout: Layout) -> Iterator[bytes]:
    height, width, _ = plane.shape
    across, down = TILE if layout.tiled else (width, STRIP_ROWS)
    for top in range(0, height, down):
        for left in range(0, width, across):
            part = plane[top : top + down, left : left + across]
            if layout.tiled:
                missing = ((0, down - part.shape[0]), (0, across - part.shape[1]), (0, 0))
                part = np.pad(part, missing, mode="edge")
            if layout.predictor:
                part = np.diff(part, axis=1, prepend=np.zeros_like(part[:, :1]))
            yield _bytes(part.reshape(len(part), -1), bits, layout.order)


def _bytes(rows: Samples, bits: int, order: str) -> bytes:
    if bits == 24:
        whole = rows.astype("<u4").view(np.uint8).reshape(len(rows), -1, 4)[..., :3]
        return (whole if order == "<" else whole[..., ::-1]).tobytes()
    if bits in {8, 16, 32, 64}:
        typed = rows.astype(f"u{bits // 8}") if rows.dtype == np.uint64 else rows
        return typed.astype(typed.dtype.newbyteorder("<" if order == "<" else ">")).tobytes()
    return b"".join(packed_rows(rows.astype(np.uint64), bits))


def _layouts(number: int, count: int = 6) -> Iterator[Layout]:
    """A few of all layouts, others for each kind, so that all kinds together have every one."""
    for index in range(count):
        yield LAYOUTS[(number * 7 + index * 11) % len(LAYOUTS)]


def cases() -> Iterator[Case]:
    for number, (kind, bits, samples, tags, expected, tolerance) in enumerate(_kinds()):
        for plain in _layouts(number):
            layout = dataclasses.replace(
                plain,
                separate=plain.separate and samples.shape[2] > 1,
                predictor=bits in {8, 16, 32} and plain.compression in {"LZW", "deflate"} and samples.dtype.kind != "f",
            )
            make = functools.partial(tiff_of, samples, bits, tags, layout)
            yield Case(f"TIFF {kind}", layout.name, make, expected, tolerance, rule=_rule(kind))
    yield from _compressed_by_jpeg()
    yield from _refused()


def _rule(kind: str) -> str:
    """Why this decoder shows a kind where both renderers show white paper."""
    if "zeros of no kind" in kind:
        return "samples whose kind is not said are alpha only where one is not 0 (TIFF 6.0, ExtraSamples)"
    if "floats" in kind and "0 to 255" in kind:
        return "floats are 0 to 255 where half of them are above 2; the renderers take them for 0 to 1"
    return ""


Kind = tuple[str, int, Samples, Tags, Pixels, float]


def _kinds() -> Iterator[Kind]:
    yield from _grey_kinds()
    yield from _colour_kinds()
    yield from _alpha_kinds()
    yield from _palette_kinds()
    yield from _float_kinds()


def _grey_kinds() -> Iterator[Kind]:
    for bits in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 32):
        samples = to_depth(grey(), bits)[..., np.newaxis]
        expected = shown(from_depth(samples[..., 0], bits))
        yield f"grey {bits} bits, black is zero", bits, samples, {262: (3, [BLACK])}, expected, 0
        inverted = np.uint64((1 << bits) - 1) - samples
        yield f"grey {bits} bits, white is zero", bits, inverted, {262: (3, [WHITE])}, expected, 0
    for bits in (8, 16, 32):
        signed = (to_depth(grey(), bits) >> np.uint64(1)).astype(f"i{bits // 8}")[..., np.newaxis]
        signed[:20] = -1 - signed[:20]
        expected = shown(np.where(np.arange(90)[:, np.newaxis] < 20, 0, grey() >> 1))
        tags: Tags = {262: (3, [BLACK]), 339: (3, [SIGNED])}
        yield f"grey {bits} bits signed, black is zero", bits, signed, tags, expected, 0
        white: Tags = {**tags, 262: (3, [WHITE])}
        yield f"grey {bits} bits signed, white is zero", bits, signed, white, 255 - expected, 0


def _colour_kinds() -> Iterator[Kind]:
    for bits in (2, 4, 8, 10, 12, 14, 16, 24, 32):
        samples = to_depth(picture(), bits)
        yield f"RGB {bits} bits", bits, samples, {262: (3, [RGB])}, from_depth(samples, bits), 0
    inks = np.asarray(Image.fromarray(picture()).convert("CMYK"))
    for bits in (8, 16):
        yield f"CMYK {bits} bits", bits, to_depth(inks, bits), {262: (3, [CMYK])}, picture(), 0.5
    luma = np.asarray(Image.fromarray(picture()).convert("YCbCr"))
    tags: Tags = {262: (3, [YCBCR]), 530: (3, [1, 1])}
    yield "YCbCr 8 bits, not subsampled", 8, to_depth(luma, 8), tags, picture(), 1.5
    for bits in (8, 16):
        lab = _lab(picture())
        scale = 1 << (bits - 8)
        lightness = np.rint(lab[..., 0] * (((1 << bits) - 1) / 100))
        parts = [lightness, *(np.rint(lab[..., at] * scale) % (1 << bits) for at in (1, 2))]
        yield f"Lab {bits} bits", bits, np.stack(parts, -1).astype(np.uint64), {262: (3, [LAB])}, picture(), 1.5


def _lab(rgb: Pixels) -> npt.NDArray[np.float64]:
    """sRGB -> CIE L*a*b* of the same white (IEC 61966-2-1; CIE 15)."""
    linear = np.where(rgb <= 10, rgb / 255 / 12.92, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    roots = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(roots, 2, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def _alpha_kinds() -> Iterator[Kind]:
    for name, colours, photometric in (("grey", grey()[..., np.newaxis], BLACK), ("RGB", picture(), RGB)):
        tags: Tags = {262: (3, [photometric])}
        straight = np.concatenate([colours, alpha()[..., np.newaxis]], axis=2)
        expected = over_white(shown(colours[..., 0]) if photometric == BLACK else colours, alpha())
        multiplied = (colours.astype(int) * alpha()[..., np.newaxis] // 255).astype(np.uint8)
        associated = np.concatenate([multiplied, alpha()[..., np.newaxis]], axis=2)
        opaque = np.concatenate([colours, np.zeros_like(colours[..., :1])], axis=2)
        for bits in (8, 16):
            yield f"{name} and alpha {bits} bits", bits, to_depth(straight, bits), {**tags, 338: (3, [2])}, expected, 0
            yield (
                f"{name} and associated alpha {bits} bits",
                bits,
                to_depth(associated, bits),
                {**tags, 338: (3, [1])},
                expected,
                1,
            )
            unsaid: Tags = {**tags, 338: (3, [0])}
            yield f"{name} and a sample of no kind {bits} bits", bits, to_depth(straight, bits), unsaid, expected, 0
            plain = shown(colours[..., 0]) if photometric == BLACK else colours
            yield f"{name} and zeros of no kind {bits} bits", bits, to_depth(opaque, bits), unsaid, plain, 0


def _palette_kinds() -> Iterator[Kind]:
    for bits in (1, 2, 4, 8, 16):
        colours = np.random.default_rng(bits).integers(0, 256, (1 << bits, 3))
        indices = to_depth(grey(), bits)[..., np.newaxis]
        expected = colours[indices[..., 0].astype(int)].astype(np.uint8)
        for name, factor in (("16-bit palette", 257), ("8-bit palette", 1)):
            tags: Tags = {262: (3, [PALETTE]), 320: (3, (colours.T.reshape(-1) * factor).tolist())}
            yield f"{name}, {bits} bits", bits, indices, tags, expected, 0


def _float_kinds() -> Iterator[Kind]:
    for bits, top, photometric in itertools.product((16, 32, 64), (1, 255), (BLACK, WHITE, RGB)):
        values = (picture() if photometric == RGB else grey()[..., np.newaxis]).astype(float)
        samples = (values * (top / 255)).astype(f"f{bits // 8}")
        tags: Tags = {262: (3, [photometric]), 339: (3, [FLOAT] * samples.shape[2])}
        name = {BLACK: "grey, black is zero", WHITE: "grey, white is zero", RGB: "RGB"}[photometric]
        expected = shown(values[..., 0]) if photometric != RGB else picture()
        yield (
            f"{name}, floats of {bits} bits, 0 to {top}",
            bits,
            samples,
            tags,
            (255 - expected if photometric == WHITE else expected),
            0,
        )


def _compressed_by_jpeg() -> Iterator[Case]:
    for name, image in (("RGB", Image.fromarray(picture())), ("grey", Image.fromarray(grey()))):
        file = io.BytesIO()
        image.save(file, "TIFF", compression="jpeg", quality=95)
        yield Case(f"TIFF {name} JPEG", "strips", file.getvalue(), np.asarray(image.convert("RGB")), 4)


def _refused() -> Iterator[Case]:
    samples = to_depth(picture(), 8)
    for code, name in ((50001, "WebP"), (34676, "LogLuv"), (34887, "LERC"), (33003, "JPEG 2000")):
        data = tiff_of(samples, 8, {262: (3, [RGB]), 259: (3, [code])}, Layout())
        yield Case("TIFF of compressions that are not decoded", name, data, None, refused=name)
    raw = tiff_of(samples, 8, {262: (3, [RGB]), 50706: (1, [1, 4, 0, 0])}, Layout())
    yield Case("camera raw", "DNG", raw, None, refused=r"camera raw \(DNG\)")
    sensor = tiff_of(samples[..., :1], 8, {262: (3, [32803])}, Layout())
    yield Case("camera raw", "TIFF/EP", sensor, None, refused=r"camera raw \(TIFF/EP\)")
