"""One file, decoded here and by the two renderers: their vectors compared."""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from handler.errors import RejectedError
from handler.images.decode import decode, sniff
from handler.images.preprocess import to_tensor
from handler.model.encoder import Encoder, load_encoder
from tests.formats.renderers import RENDERERS, UnreadableError

# Vectors of the same picture; of one that a lossy decoder made, whose colours are rounded in other ways.
SAME, SAME_LOSSY = 0.999, 0.99
LOSSY = {"jpeg", "webp", "avif", "heic", "heif"}
MAX_PIXELS = 100_000_000

Vector = npt.NDArray[np.float32]
File = tuple[str, str, bytes, npt.NDArray[np.uint8] | None]


@dataclass(frozen=True, slots=True)
class Agreement:
    """What became of a file.

    Attributes:
        kind: for the table.
        name: within its kind.
        refused: this decoder's refusal; empty where it decodes the file.
        known: whether its vector is the known picture's; None where that is not known, or the file is refused.
        renderers: cosine of its vector to each renderer's that opens the file; NaN where the file is refused.
        others: cosine between the two renderers; None where one does not open the file.
        same: the least cosine of the same picture.
    """

    kind: str
    name: str
    refused: str
    known: bool | None
    renderers: dict[str, float]
    others: float | None
    same: float

    @property
    def both_agree(self) -> bool:
        """Whether the two renderers show the same."""
        return self.others is not None and self.others >= self.same

    @property
    def is_wrong(self) -> bool:
        """Whether both renderers show the same, and this decoder something else."""
        return self.both_agree and not self.refused and max(self.renderers.values()) < self.same


@functools.cache
def _encoder(bundle: Path) -> Encoder:
    return load_encoder(bundle)


def compare(bundle: Path, file: File) -> Agreement:
    """Decode a file in every way.

    Args:
        bundle: the model's.
        file: its kind and its name for the table, its bytes, and the known picture, (H, W, 3), or None.
    """
    kind, name, data, expected = file
    encoder, format_name = _encoder(bundle), sniff(data)
    own, refused = _own_vector(encoder, data)
    shown = {renderer: _vector_of(encoder, renderer, data, format_name) for renderer in RENDERERS}
    found = {renderer: vector for renderer, vector in shown.items() if vector is not None}
    same = SAME_LOSSY if format_name in LOSSY else SAME
    known = None
    if own is not None and expected is not None:
        known = float(own @ _vector(encoder, Image.fromarray(expected))) >= same
    cosines = {renderer: float("nan") if own is None else float(own @ vector) for renderer, vector in found.items()}
    others = float(np.prod(list(found.values()), axis=0).sum()) if len(found) == len(RENDERERS) else None
    return Agreement(kind, name, refused, known, cosines, others, same)


def _own_vector(encoder: Encoder, data: bytes) -> tuple[Vector | None, str]:
    try:
        found = decode(data, MAX_PIXELS, encoder.spec.preprocess.enough)
    except RejectedError as error:
        return None, f"{error.code}: {error}"
    return _vector(encoder, found.image, (found.width, found.height)), ""


def _vector_of(encoder: Encoder, renderer: str, data: bytes, format_name: str | None) -> Vector | None:
    try:
        return _vector(encoder, Image.fromarray(RENDERERS[renderer](data, format_name)))
    except UnreadableError:
        return None


def _vector(encoder: Encoder, image: Image.Image, shown: tuple[int, int] | None = None) -> Vector:
    found = encoder.embed(to_tensor(image, encoder.spec.preprocess, shown))
    unit: Vector = found / np.linalg.norm(found)
    return unit
