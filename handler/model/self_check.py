"""The self-check, `{"check": true}`: embed the test card, and compare with the original model's vector.

If the text tower is loaded, its vector of `CANONICAL_TEXT` is compared, too.
"""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from PIL import Image

from handler.images.preprocess import to_tensor
from handler.model.encoder import Encoder, Vector
from handler.model.test_card import draw_test_card
from handler.model.text import CANONICAL_TEXT, TextEncoder, loaded_text_tower

# With a smaller cosine, the graph is not the model: float32 sums in another order give more than 0.999999.
MIN_COSINE = 0.9999

_PACKAGES = ("onnxruntime", "numpy", "pillow", "awslambdaric")


def check(encoder: Encoder) -> dict[str, Any]:
    """Run the self-check: `status` is `ok` if and only if the loaded graph produces the expected vector.

    Raises:
        Exception: any error of onnxruntime if the graph does not run.
    """
    cosine = cosine_of(embed_test_card(encoder), np.array(encoder.spec.canonical_vector, dtype=np.float32))
    report: dict[str, Any] = {
        "cosine": round(cosine, 9),
        "model": encoder.spec.name,
        "fingerprint": encoder.spec.fingerprint,
        "embedding_dim": encoder.spec.embedding_dim,
        "graph": encoder.graph,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    }
    found = [(encoder.graph, "the test card", cosine)]
    if encoder.spec.text is not None:
        report["text_fingerprint"] = encoder.spec.text.fingerprint
    tower = loaded_text_tower(encoder.bundle)
    if tower is not None and tower.spec.canonical_vector:
        text_cosine = canonical_text_cosine(tower)
        report |= {"text_cosine": round(text_cosine, 9), "text_graph": tower.graph}
        found.append((tower.graph, repr(CANONICAL_TEXT), text_cosine))
    wrong = [
        f"the graph {graph!r} produces another vector of {subject} than the model (cosine {similarity:.6f})"
        for graph, subject, similarity in found
        if not similarity >= MIN_COSINE
    ]
    if not wrong:
        return {"status": "ok", **report}
    text = f"{'; '.join(wrong)}; bake the bundle and build the image again"
    return {"status": "error", "error": text, "error_code": "wrong_vector", **report}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"  # installed without metadata


def embed_test_card(encoder: Encoder) -> Vector:
    """An encoder's vector of the test card, not normalised."""
    return encoder.embed(to_tensor(Image.fromarray(draw_test_card()), encoder.spec.preprocess))


def canonical_text_cosine(tower: TextEncoder) -> float:
    """Cosine of a text tower's vector of `CANONICAL_TEXT` and of the original model's in `model.json`."""
    (vector,) = tower.embed([CANONICAL_TEXT])
    return cosine_of(vector, np.array(tower.spec.canonical_vector, dtype=np.float32))


def cosine_of(one: Vector, other: Vector) -> float:
    """Cosine of two vectors, computed in float64; 0 if one of them is zero or not finite."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if 0 < lengths < float("inf") else 0.0
