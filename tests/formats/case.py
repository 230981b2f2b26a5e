"""Pictures made from known pixels: each case is a file and what an ordinary viewer shows of it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.support.pictures import card
from tests.support.pictures import picture as draw

Pixels = npt.NDArray[np.uint8]
Grey = npt.NDArray[np.uint8]

SIZE = (120, 90)


@dataclass(frozen=True, slots=True)
class Case:
    """A file of a known picture.

    Attributes:
        kind: format and what is special, in words; the table of `make formats` has a line for each.
        name: unique within its kind.
        source: the file, or what makes it when it is needed.
        expected: upright pixels, (H, W, 3); None where the file is refused.
        tolerance: mean difference that is right, in levels of 255; 0 where the file has the pixels exactly.
        refused: what the refusal says; empty where the file is decoded.
        rule: why this decoder shows it, where libvips and ImageMagick both show something else.
    """

    kind: str
    name: str
    source: bytes | Callable[[], bytes] = field(repr=False)
    expected: Pixels | None = field(repr=False)
    tolerance: float = 0
    refused: str = ""
    rule: str = ""

    @property
    def data(self) -> bytes:
        """The file."""
        return self.source if isinstance(self.source, bytes) else self.source()

    @property
    def title(self) -> str:
        """Kind and name."""
        return f"{self.kind}: {self.name}"


@functools.cache
def picture() -> Pixels:
    """The picture in RGB, (90, 120, 3): no symmetry, every level."""
    return np.asarray(card().resize(SIZE, Image.Resampling.BICUBIC))


@functools.cache
def smooth() -> Pixels:
    """The picture with smooth colours, (90, 120, 3), for lossy files: decoders interpolate colours differently."""
    luma, _, _ = Image.fromarray(picture()).convert("YCbCr").split()
    _, blue, red = draw(*SIZE, seed=5).convert("YCbCr").split()
    return np.asarray(Image.merge("YCbCr", (luma, blue, red)).convert("RGB"))


@functools.cache
def grey() -> Grey:
    """The picture in grey, (90, 120)."""
    return np.asarray(Image.fromarray(picture()).convert("L"))


@functools.cache
def alpha() -> Grey:
    """Transparency for it, (90, 120): every level, and large areas of none and of all."""
    ramp = np.linspace(-60, 320, SIZE[0])[np.newaxis, :] + np.linspace(-20, 20, SIZE[1])[:, np.newaxis]
    return np.clip(ramp, 0, 255).astype(np.uint8)


def shown(values: npt.NDArray[np.integer]) -> Pixels:
    """Grey or RGB of 8 bits as RGB."""
    pixels = values.astype(np.uint8)
    return np.repeat(pixels[..., np.newaxis], 3, axis=2) if pixels.ndim == 2 else pixels


def over_white(colours: Pixels, opacity: Grey) -> Pixels:
    """What a viewer shows of colours under alpha on a white page; fractions are cut off."""
    wide = opacity[..., np.newaxis].astype(int)
    composed: Pixels = ((shown(colours).astype(int) * wide + 255 * (255 - wide)) // 255).astype(np.uint8)
    return composed


def to_depth(values: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint64]:
    """8 bits -> samples of any depth over its full range."""
    wide = values.astype(np.uint64)
    if bits <= 8:
        return (wide * ((1 << bits) - 1) + 127) // 255
    repeated = wide * 0x0101010101010101
    return repeated >> np.uint64(64 - bits)


def from_depth(samples: npt.NDArray[np.uint64], bits: int) -> Pixels:
    """Samples of a depth -> 8 bits: the upper ones, or spread over the range."""
    if bits >= 8:
        return (samples >> np.uint64(bits - 8)).astype(np.uint8)
    spread: Pixels = np.rint(samples.astype(float) * 255 / ((1 << bits) - 1)).astype(np.uint8)
    return spread


def packed_rows(samples: npt.NDArray[np.uint64], bits: int) -> list[bytes]:
    """(rows, samples of a row) -> the bytes of each row, samples close together, the highest bit first."""
    shifts = np.arange(bits - 1, -1, -1, dtype=np.uint64)
    every_bit = (samples[..., np.newaxis] >> shifts) & np.uint64(1)
    return [np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in every_bit]
