"""Plain eager torch with the same layers and weights."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tests.bench.sides.plain_pixels import SPEC, tensor
from tests.bench.sides.torch_operators import OPERATORS

_saved: dict[str, Any] = torch.load(Path(os.environ["PEERS_DIR"]) / "torch" / "model.pt", mmap=True, weights_only=True)


def embed(data: bytes) -> npt.NDArray[np.float32]:
    """Bytes of an image to its vector, not normalised."""
    with torch.inference_mode():
        known = {**_saved["weights"], SPEC["input_name"]: torch.from_numpy(tensor(data))}
        for kind, inputs, output, how in _saved["nodes"]:
            known[output] = OPERATORS[kind](*(known[name] for name in inputs), **how)
        vector: npt.NDArray[np.float32] = known[SPEC["output_name"]][0].numpy()
        return vector
