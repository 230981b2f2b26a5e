"""Only load the model, as the function does."""

import os
from pathlib import Path

from handler.model.encoder import Encoder, load_encoder


def load() -> Encoder:
    """Load the bundle."""
    return load_encoder(Path(os.environ["MODEL_DIR"]))
