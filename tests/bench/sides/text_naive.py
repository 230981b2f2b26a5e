"""Load the text tower like tutorials do, and nothing else."""

import os

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from tokenizers import Tokenizer

CONTEXT = 77

_folder = os.environ["MODEL_DIR"]
tokenizer = Tokenizer.from_file(os.path.join(_folder, "tokenizer.json"))  # noqa: PTH118 - like tutorials
tokenizer.enable_truncation(CONTEXT)
tokenizer.enable_padding(length=CONTEXT, pad_id=0, pad_token="!")
session = ort.InferenceSession(os.path.join(_folder, "text.onnx"))  # noqa: PTH118 - like tutorials


def embed(data: bytes) -> npt.NDArray[np.float32]:
    """Embed a text, UTF-8, into a vector that is not normalised."""
    ids = np.array([tokenizer.encode(data.decode()).ids], dtype=np.int64)
    vector: npt.NDArray[np.float32] = session.run(None, {"input_ids": ids})[0][0]
    return vector
