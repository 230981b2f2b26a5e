"""Verify a bundle: the model, its reference and the graph that the function loads must give the same vector."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from handler.errors import BundleError
from handler.model.encoder import PORTABLE, Encoder, Vector, check_signature, load_encoder, open_portable
from handler.model.self_check import MIN_COSINE, cosine_of, embed_test_card
from handler.model.spec import load_spec
from infra.bake.manifest import Manifest
from infra.common.errors import OperatorError, first_line


def model_vector(manifest: Manifest, bundle: Path) -> Vector:
    """The original model's vector of the test card.

    Raises:
        OperatorError: the model does not match its manifest, does not run, or gives no usable vector.
    """
    spec = load_spec(bundle)
    try:
        session = open_portable(bundle, spec)
        check_signature(session, spec)
    except BundleError as error:
        raise OperatorError(f"{manifest.name} does not match its manifest: {_without_path(error, bundle)}") from None
    encoder = Encoder(bundle, spec, session, PORTABLE)
    try:
        vector = embed_test_card(encoder)
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a dozen unrelated types for a graph that does not run
        raise OperatorError(f"{manifest.name} does not run: {first_line(error)}") from None
    if vector.shape != (manifest.embedding_dim,):
        raise OperatorError(f"{manifest.name} gives vectors of shape {vector.shape}, not ({manifest.embedding_dim},)")
    if not np.isfinite(vector).all() or not vector.any():
        raise OperatorError(
            f"{manifest.name} gives no usable vector of the test card: it is all zeros, or has infinities or NaNs"
        )
    return vector


def verify(manifest: Manifest, bundle: Path, vector: Vector, say: Callable[[str], None]) -> None:
    """Compare the model's vector with its reference, and with that of the graph that the function would load here.

    Raises:
        OperatorError: the vectors differ, or the bundle does not load.
    """
    if manifest.canonical:
        reference = _reference(manifest, manifest.canonical.reference, vector)
        cosine = _require_same(vector, reference, f"the vectors of {manifest.name} and of its reference differ")
        say(f"matches its reference, cosine {cosine:.7f}")
    try:
        encoder = load_encoder(bundle)
    except BundleError as error:
        raise OperatorError(f"the bundle of {manifest.name} does not load: {_without_path(error, bundle)}") from None
    what = f"the vectors of {manifest.name} and of its graph {encoder.graph!r} differ"
    cosine = _require_same(embed_test_card(encoder), vector, what)
    say(f"the graph that the function loads on this CPU ({encoder.graph}) matches the model, cosine {cosine:.7f}")


def _without_path(error: BundleError, bundle: Path) -> str:
    """The text of an error of a bundle that is being made, without its temporary path."""
    return str(error).replace(f"{bundle}/", "").replace("; bake the bundle again", "")


def _reference(manifest: Manifest, name: str, vector: Vector) -> Vector:
    path = manifest.folder / name
    try:
        reference = np.array(json.loads(path.read_text("utf-8")), dtype=np.float32)
    except (OSError, ValueError) as error:
        raise OperatorError(f"{path}, the reference vector of {manifest.path}, cannot be read: {error}") from None
    if reference.shape != vector.shape:
        raise OperatorError(
            f"{manifest.name} gives a vector of shape {vector.shape}, but its reference {path} has {reference.shape}"
        )
    return reference


def _require_same(vector: Vector, reference: Vector, text: str) -> float:
    cosine = cosine_of(vector, reference)
    if not cosine >= MIN_COSINE:
        raise OperatorError(
            f"{text} (cosine {cosine:.6f}): check the weights, the graph and [preprocess] in the manifest; "
            "nothing was written"
        )
    return cosine
