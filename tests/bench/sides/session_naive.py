"""Only load the model, as tutorials do."""

import os

import numpy as np  # noqa: F401 - imported before the measurement, as on the other side
import onnxruntime as ort


def load() -> ort.InferenceSession:
    """Load the original ONNX file with default options."""
    return ort.InferenceSession(os.path.join(os.environ["MODEL_DIR"], "image.onnx"))  # noqa: PTH118 - as tutorials do
