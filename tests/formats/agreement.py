"""One file, decoded here and by the two renderers: their vectors compared."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from handler.errors import RejectedError
from handler.images.decode import Picture, decode, sniff
from handler.images.preprocess import to_tensor
from handler.model.encoder import Encoder, load_encoder
from tests.formats.renderers import MAX_PIXELS, RENDERERS, UnreadableError

# Vectors of the same picture; of one that a lossy decoder made, whose colours are rounded in other ways.
SAME, SAME_LOSSY = 0.999, 0.99
LOSSY = {"jpeg", "webp", "avif", "heic", "heif"}

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class File:
    """A file to compare.

    Attributes:
        kind: for the table.
        name: within its kind.
        content: its bytes, or where they are.
        expected: the known picture, (H, W, 3); None where it is not known.
        tolerance: mean difference from it that is right, in levels of 255.
        rule: why this decoder shows something else than both renderers.
    """

    kind: str
    name: str
    content: bytes | Path
    expected: npt.NDArray[np.uint8] | None = None
    tolerance: float = 0
    rule: str = ""

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


@dataclass(frozen=True, slots=True)
class Agreement:
    """What became of a file.

    Attributes:
        kind: for the table.
        name: within its kind.
        refused: this decoder's refusal; empty where it decodes the file.
        known: whether it shows the known picture; None where that is not known, or the file is refused.
        rule: as of the file.
        renderers: cosine of its vector to each renderer's that opens the file; NaN where the file is refused.
        others: cosine between the two renderers; None where one does not open the file.
        same: the least cosine of the same picture.
    """

    kind: str
    name: str
    refused: str
    known: bool | None
    rule: str
    renderers: dict[str, float]
    others: float | None
    same: float

    @property
    def both_agree(self) -> bool:
        """Whether the two renderers show the same."""
        return self.others is not None and self.others >= self.same

    @property
    def is_wrong(self) -> bool:
        """Whether both renderers show the same, and this decoder something else without a rule for it."""
        return self.differs_from_both and not self.rule

    @property
    def differs_from_both(self) -> bool:
        """Whether both renderers show the same, and this decoder something else."""
        return self.both_agree and not self.refused and max(self.renderers.values()) < self.same


@functools.cache
def _encoder(bundle: Path) -> Encoder:
    return load_encoder(bundle)


def compare(bundle: Path, file: File) -> Agreement:
    """Decode a file in every way.

    Args:
        bundle: the model's.
        file: the file.
    """
    encoder, data = _encoder(bundle), file.data
    format_name = sniff(data)
    own, refused = _decoded(data, encoder.spec.preprocess.enough)
    shown = {renderer: _vector_of(encoder, renderer, data, format_name) for renderer in RENDERERS}
    found = {renderer: vector for renderer, vector in shown.items() if vector is not None}
    cosines = {renderer: float("nan") for renderer in found}
    if own is not None:
        vector = _vector(encoder, own.image, (own.width, own.height))
        cosines = {renderer: float(vector @ other) for renderer, other in found.items()}
    others = float(np.prod(list(found.values()), axis=0).sum()) if len(found) == len(RENDERERS) else None
    same = SAME_LOSSY if format_name in LOSSY else SAME
    return Agreement(file.kind, file.name, refused, _is_known(own, file), file.rule, cosines, others, same)


def _decoded(data: bytes, enough: int) -> tuple[Picture | None, str]:
    try:
        return decode(data, MAX_PIXELS, enough), ""
    except RejectedError as error:
        return None, f"{error.code}: {error}"


def _is_known(own: Picture | None, file: File) -> bool | None:
    if own is None or file.expected is None:
        return None
    pixels = np.asarray(own.image).astype(int)
    return pixels.shape == file.expected.shape and bool(np.abs(pixels - file.expected).mean() <= file.tolerance)


def _vector_of(encoder: Encoder, renderer: str, data: bytes, format_name: str | None) -> Vector | None:
    try:
        return _vector(encoder, Image.fromarray(RENDERERS[renderer](data, format_name)))
    except UnreadableError:
        return None


def _vector(encoder: Encoder, image: Image.Image, shown: tuple[int, int] | None = None) -> Vector:
    found = encoder.embed(to_tensor(image, encoder.spec.preprocess, shown))
    unit: Vector = found / np.linalg.norm(found)
    return unit
