"""Load the model as tutorials do, and nothing else."""

import os

import numpy as np  # noqa: F401 - so that its import is not part of the session's time, as on the other side
import onnxruntime as ort


def load() -> ort.InferenceSession:
    """Load the plain file with defaults."""
    return ort.InferenceSession(os.path.join(os.environ["MODEL_DIR"], "image.onnx"))  # noqa: PTH118 - as tutorials do
