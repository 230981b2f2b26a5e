"""fastembed's image pipeline as it comes, on the same model."""

import io
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from fastembed import ImageEmbedding
from PIL import Image

# It takes models of its own list only; the folder decides which graph, and which preprocessing, that name stands for.
_model = ImageEmbedding(
    "Qdrant/clip-ViT-B-32-vision", specific_model_path=str(Path(os.environ["PEERS_DIR"]) / "fastembed")
)


def embed(data: bytes) -> npt.NDArray[np.float32]:
    """Bytes of an image to its vector; it normalises by itself."""
    (vector,) = _model.embed([Image.open(io.BytesIO(data))])
    return np.asarray(vector, dtype=np.float32)
