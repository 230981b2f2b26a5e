"""OpenVINO with its own format, in float32, for one image at a time."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov

from tests.bench.sides.plain_pixels import SPEC, tensor

_model = ov.Core().compile_model(
    str(Path(os.environ["PEERS_DIR"]) / "openvino" / "model.xml"),
    "CPU",
    {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"},
)


def embed(data: bytes) -> npt.NDArray[np.float32]:
    """Bytes of an image to its vector, not normalised."""
    return np.asarray(_model({SPEC["input_name"]: tensor(data)})[SPEC["output_name"]][0], dtype=np.float32)
