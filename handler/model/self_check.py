"""The proof on demand: `{"check": true}` embeds the test card and compares it with what the model itself made of it."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from PIL import Image

from handler.images.preprocess import to_tensor
from handler.model.encoder import Encoder, Vector
from handler.model.test_card import testcard

# Below this a graph is not the model: float32 sums in another order stay above 0.999999.
MIN_COSINE = 0.9999

_PACKAGES = ("onnxruntime", "numpy", "pillow", "awslambdaric")


def check(encoder: Encoder) -> dict[str, Any]:
    """Answer a check: `status` is `ok` only when the loaded graph makes the vector that it should.

    Raises:
        Exception: whatever onnxruntime raises where the graph does not run.
    """
    cosine = cosine_of(embed_testcard(encoder), np.array(encoder.spec.canonical_vector, dtype=np.float32))
    found: dict[str, Any] = {
        "cosine": round(cosine, 9),
        "model": encoder.spec.name,
        "fingerprint": encoder.spec.fingerprint,
        "graph": encoder.graph,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    }
    if encoder.spec.text is not None:
        found["text_fingerprint"] = encoder.spec.text.fingerprint
    if cosine >= MIN_COSINE:
        return {"status": "ok", **found}
    text = f"the graph {encoder.graph!r} makes another vector of the test card than the model (cosine {cosine:.6f})"
    return {"status": "error", "error": f"{text}: bake the image again", "error_code": "wrong_vector", **found}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"  # it may run without its metadata


def embed_testcard(encoder: Encoder) -> Vector:
    """What an encoder makes of the test card, not normalised."""
    return encoder.embed(to_tensor(Image.fromarray(testcard()), encoder.spec.preprocess))


def cosine_of(one: Vector, other: Vector) -> float:
    """Cosine of two vectors, summed in float64; 0 where one of them is zero or not finite."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if 0 < lengths < float("inf") else 0.0
