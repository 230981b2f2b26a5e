"""The proof of a bundle: the model gives a vector, its reference the same one, and so does what the function loads."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from handler.errors import BundleError
from handler.model.encoder import PORTABLE, Encoder, Vector, check_signature, load_encoder, open_portable
from handler.model.self_check import MIN_COSINE, cosine_of, embed_test_card
from handler.model.spec import load_spec
from infra.bake.manifest import Manifest
from infra.common.errors import OperatorError


def vector_of_the_model(manifest: Manifest, bundle: Path) -> Vector:
    """What the model itself, untouched, makes of the test card."""
    spec = load_spec(bundle)
    try:
        session = open_portable(bundle, spec)
        check_signature(session, spec)
    except BundleError as error:
        raise OperatorError(f"{manifest.name} is not as its manifest says: {plainly(error, bundle)}") from None
    encoder = Encoder(bundle, spec, session, PORTABLE)
    try:
        vector = embed_test_card(encoder)
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a dozen unrelated types for a graph that does not run
        raise OperatorError(f"{manifest.name} does not run: {(str(error).splitlines() or [repr(error)])[0]}") from None
    if vector.shape != (manifest.embedding_dim,):
        raise OperatorError(f"{manifest.name} gives vectors of shape {vector.shape}, not ({manifest.embedding_dim},)")
    if not np.isfinite(vector).all() or not vector.any():
        raise OperatorError(
            f"{manifest.name} gives no usable vector of the test card: zeros, infinities or not-a-numbers"
        )
    return vector


def prove(manifest: Manifest, bundle: Path, vector: Vector, say: Callable[[str], None]) -> None:
    """Check the model against its reference, and what the function would load here against the model."""
    if manifest.canonical:
        reference = _reference(manifest, manifest.canonical.reference, vector)
        cosine = _require_same(
            vector, reference, f"{manifest.name} makes another vector of the test card than its reference"
        )
        say(f"proved against its reference, cosine {cosine:.7f}")
    try:
        encoder = load_encoder(bundle)
    except BundleError as error:
        raise OperatorError(f"{manifest.name} does not load as it was baked: {plainly(error, bundle)}") from None
    what = f"the graph {encoder.graph!r} of {manifest.name} makes another vector of the test card than the model itself"
    say(
        f"proved as the function loads it here ({encoder.graph}), cosine "
        f"{_require_same(embed_test_card(encoder), vector, what):.7f}"
    )


def plainly(error: BundleError, bundle: Path) -> str:
    """What is wrong with a bundle in the making, without the place that it is made in."""
    return str(error).replace(f"{bundle}/", "").replace("; bake the bundle again", "")


def _reference(manifest: Manifest, name: str, vector: Vector) -> Vector:
    path = manifest.folder / name
    try:
        reference = np.array(json.loads(path.read_text("utf-8")), dtype=np.float32)
    except (OSError, ValueError) as error:
        raise OperatorError(f"{path}, the reference vector of {manifest.path}, cannot be read: {error}") from None
    if reference.shape != vector.shape:
        raise OperatorError(
            f"{manifest.name} gives a vector of {vector.shape} against a reference of {reference.shape}"
        )
    return reference


def _require_same(vector: Vector, reference: Vector, complaint: str) -> float:
    cosine = cosine_of(vector, reference)
    if not cosine >= MIN_COSINE:
        raise OperatorError(
            f"{complaint} (cosine {cosine:.6f}): the weights, the graph or the preprocessing are not the model's; "
            "nothing was written"
        )
    return cosine
