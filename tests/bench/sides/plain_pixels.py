"""Decode and preprocess with Pillow and numpy, for alternatives that only run the model."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

SPEC: dict[str, Any] = json.loads((Path(os.environ["MODEL_DIR"]) / "model.json").read_bytes())


def tensor(data: bytes) -> npt.NDArray[np.float32]:
    """Bytes of an image to float32 (1, 3, S, S)."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    shortest, size, (width, height) = SPEC["resize_size"], SPEC["input_size"], image.size
    resized = (
        (shortest, int(shortest * height / width)) if width <= height else (int(shortest * width / height), shortest)
    )
    image = image.resize(resized, Image.Resampling[SPEC["interpolation"].upper()])
    left, top = (int(round((side - size) / 2.0)) for side in resized)  # noqa: RUF046 - as in torchvision
    pixels = np.array(image.crop((left, top, left + size, top + size)), dtype=np.float32)
    pixels /= np.float32(SPEC["divisor"])
    pixels -= np.array(SPEC["mean"], dtype=np.float32)
    pixels /= np.array(SPEC["std"], dtype=np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[np.newaxis])
