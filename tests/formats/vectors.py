"""Pixels -> vectors, and how much two of them agree."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from handler.model.encoder import Encoder, load_encoder
from handler.images.preprocess import to_tensor

SAME = 0.999
SAME_LOSSY = 0.99

Vector = npt.NDArray[np.float32]


class Comparer:
    """Embeds pictures with a bundle."""

    def __init__(self, bundle: Path) -> None:
        self.encoder: Encoder = load_encoder(bundle)

    def vector(self, picture: Image.Image, shown: tuple[int, int] | None = None) -> Vector:
        """The unit vector of an upright RGB picture."""
        found = self.encoder.embed(to_tensor(picture, self.encoder.spec.preprocess, shown))
        return found / np.linalg.norm(found)
