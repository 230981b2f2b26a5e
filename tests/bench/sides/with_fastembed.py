"""fastembed's image pipeline, unmodified, with the same model."""

import io
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from fastembed import ImageEmbedding
from PIL import Image

# fastembed accepts only names of its own list; the folder determines the graph and the preprocessing.
_model = ImageEmbedding(
    "Qdrant/clip-ViT-B-32-vision", specific_model_path=str(Path(os.environ["PEERS_DIR"]) / "fastembed")
)


def embed(data: bytes) -> npt.NDArray[np.float32]:
    """Bytes of an image to its vector, normalised by fastembed."""
    (vector,) = _model.embed([Image.open(io.BytesIO(data))])
    return np.asarray(vector, dtype=np.float32)
