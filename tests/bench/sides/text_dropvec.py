"""Load dropvec's text tower, and nothing else."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from handler.model.text import load_text_tower


def embed(data: bytes) -> npt.NDArray[np.float32]:
    """Embed a text, UTF-8, into a vector that is not normalised."""
    vector: npt.NDArray[np.float32] = load_text_tower(Path(os.environ["MODEL_DIR"])).embed([data.decode()])[0]
    return vector
