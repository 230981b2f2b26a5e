"""Manifest -> source files -> graph -> prepared graphs -> model.json -> proof -> bundle."""

import json
import tempfile
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handler.check import MIN_COSINE, cosine_of, embed_testcard
from handler.errors import BundleError
from handler.model import Encoder, Vector, check_signature, load_encoder, open_portable
from handler.pixels import DECODE_POLICY
from handler.spec import BUNDLE_FORMAT, SPEC_FILE, load_spec
from handler.text import TextEncoder
from infra.bake.fingerprint import fingerprint
from infra.bake.graph import build_graph
from infra.bake.labels import DEFAULT_TEMPLATE, bake_labels, read_labels
from infra.bake.manifest import Manifest, Pixels, find_manifest, read_manifest
from infra.bake.prepare import prepare
from infra.bake.sources import CACHE, Files, fetch
from infra.bake.text import add_text
from infra.errors import OperatorError
from infra.hashing import file_sha256

GRAPH_FILE = "image.onnx"
LICENCE_FILE = "LICENSE"

_LICENCE_LINES_SHOWN = 12


@dataclass(frozen=True)
class Options:
    """What a person may ask of a bake.

    Attributes:
        accepted: SHA-256, hex, of files that the manifest could not pin.
        mirror: asked instead of the hosts of the manifest.
        text: whether the bundle keeps the model's text tower, if it has one.
        labels: a file of labels that every result is to be compared with.
        label_template: the text that is embedded for a label, with `{}` in its place.
        progress: whether to print a line a step.
        cache: where files are kept that come from elsewhere.
    """

    accepted: Collection[str] = ()
    mirror: str | None = None
    text: bool = True
    labels: Path | None = None
    label_template: str = DEFAULT_TEMPLATE
    progress: bool = True
    cache: Path = CACHE


def bake(name_or_path: str, out: Path, options: Options | None = None) -> Path:
    """Make a model bundle.

    Args:
        name_or_path: a shipped manifest's name, or a path to one.
        out: the bundle's directory; a bundle that is there is replaced, in one step and only by a proven one.
        options: None: nothing is accepted, no mirror, a line a step.

    Returns:
        `out`, resolved.

    Raises:
        OperatorError: one line that says what is wrong and what to do; nothing half-made stays.
    """
    options = options or Options()
    manifest, out = read_manifest(find_manifest(name_or_path)), out.resolve()
    say = _Say(manifest.name, loud=options.progress)
    _check_place(out)
    names = _label_names(manifest, options)
    say(f"fetching from {manifest.source.requirement or manifest.source.base or manifest.folder}")
    files = fetch(manifest, options.accepted, options.mirror, options.cache)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".bake-") as scratch:
            made = Path(scratch) / "bundle"
            made.mkdir()
            _make(manifest, files, made, say)
            if manifest.text is not None and (options.text or names):
                encoder = add_text(manifest, manifest.text, files, made)
                _keep_text(encoder, made, names, options)
                say(_told(encoder, names, options))
            _move(made, out)
    except OSError as error:
        raise OperatorError(f"cannot write {out} ({error.strerror}); make room, or choose another --out") from None
    say(f"{out}")
    return out


@dataclass(frozen=True)
class _Say:
    name: str
    loud: bool

    def __call__(self, line: str) -> None:
        if self.loud:
            print(f"{self.name}: {line}", flush=True)


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


def _make(manifest: Manifest, files: Files, bundle: Path, say: _Say) -> None:
    """Write every file of a bundle, each step proved against the one before."""
    _write_licence(manifest, files, bundle, say)
    say("building the graph")
    graph, output = build_graph(manifest.image, files.path(manifest.image.file))
    (bundle / GRAPH_FILE).write_bytes(graph)
    spec = _spec(manifest, files, bundle) | {
        "fingerprint": fingerprint(graph, _pixels(manifest.preprocess), output),
        "output_name": output,
    }
    unproved = {"canonical_vector": [0.0] * manifest.embedding_dim, "prepared": [], "canary_output": []}
    _write_spec(bundle, spec | unproved | {"prepared_by": ""})
    vector = _vector_of_the_model(manifest, bundle)
    spec["canonical_vector"] = [float(f"{value:.9g}") for value in vector]
    say("preparing it for fast loading")
    prepared = prepare(graph, manifest.image.input, output, manifest.preprocess.input_size, bundle)
    _write_spec(bundle, spec | prepared.fields())
    say(prepared.note or f"prepared: {', '.join(entry.name for entry in prepared.prepared)}")
    _prove(manifest, bundle, vector, say)


def _label_names(manifest: Manifest, options: Options) -> tuple[str, ...]:
    if options.labels is None:
        return ()
    if manifest.text is None:
        raise OperatorError(f"{manifest.name} has no text tower, so it can have no labels; choose a model that has one")
    return read_labels(options.labels)


def _keep_text(encoder: TextEncoder, bundle: Path, names: tuple[str, ...], options: Options) -> None:
    """Write the labels, and the text tower into `model.json`, or take it out again where only its labels are wanted."""
    spec = json.loads((bundle / SPEC_FILE).read_bytes())
    if names:
        bake_labels(names, encoder, bundle, options.label_template)
        spec["labels"] = len(names)
    if options.text:
        spec["text"] = asdict(encoder.spec)
    else:
        (bundle / encoder.spec.graph.name).unlink()
        (bundle / encoder.spec.tokenizer.name).unlink()
    _write_spec(bundle, spec)


def _told(encoder: TextEncoder, names: tuple[str, ...], options: Options) -> str:
    kept = f"text tower: {encoder.spec.context_length} tokens" if options.text else "text tower: left out"
    return f"{kept}, {len(names)} labels"


def _write_licence(manifest: Manifest, files: Files, bundle: Path, say: _Say) -> None:
    """Copy the licence: as it came with the weights, then the full text that the manifest adds; and show it."""
    licence = manifest.licence
    paths = [files.path(licence.file)] if licence.file else []
    paths += [manifest.folder / licence.text] if licence.text else []
    try:
        parts = [path.read_bytes() for path in paths]
    except OSError as error:
        raise OperatorError(f"{manifest.path}: [licence] {error.filename}: {error.strerror}") from None
    if not parts[0].strip():
        raise OperatorError(f"the licence {paths[0]} is empty; name the one that the weights have")
    (bundle / LICENCE_FILE).write_bytes(b"\n\n".join(parts))
    say(f"licence {licence.spdx}" + (f": {licence.summary}" if licence.summary else ""))
    lines = [line for line in parts[0].decode("utf-8", "replace").splitlines() if line.strip()]
    for line in lines[:_LICENCE_LINES_SHOWN]:
        say(f"  | {line.rstrip()}")
    if len(lines) > _LICENCE_LINES_SHOWN:
        say(f"  | … {len(lines) - _LICENCE_LINES_SHOWN} more lines, in {LICENCE_FILE} of the bundle")


def _pixels(how: Pixels) -> dict[str, object]:
    return asdict(how) | {"resize_size": how.shortest}


def _spec(manifest: Manifest, files: Files, bundle: Path) -> dict[str, Any]:
    return {
        "format": BUNDLE_FORMAT,
        "decode_policy": DECODE_POLICY,
        "name": manifest.name,
        "embedding_dim": manifest.embedding_dim,
        "file": GRAPH_FILE,
        "bytes": (bundle / GRAPH_FILE).stat().st_size,
        "sha256": file_sha256(bundle / GRAPH_FILE),
        "input_name": manifest.image.input,
        **_pixels(manifest.preprocess),
        "source_url": manifest.source.url or manifest.source.base,
        "source_revision": manifest.source.revision,
        "source_file": manifest.image.file.path,
        "source_sha256": files.hash(manifest.image.file),
        "licence": manifest.licence.spdx,
        "licence_file": LICENCE_FILE,
        "manifest_sha256": file_sha256(manifest.path),
    }


def _write_spec(bundle: Path, spec: dict[str, Any]) -> None:
    (bundle / SPEC_FILE).write_text(json.dumps(spec, indent=1) + "\n", "utf-8")


def _vector_of_the_model(manifest: Manifest, bundle: Path) -> Vector:
    """What the model itself, untouched, makes of the test card."""
    spec = load_spec(bundle)
    try:
        session = open_portable(bundle, spec)
        check_signature(session, spec)
    except BundleError as error:
        raise OperatorError(f"{manifest.name} is not as its manifest says: {error}") from None
    encoder = Encoder(bundle, spec, session, GRAPH_FILE)
    try:
        vector = embed_testcard(encoder)
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a dozen unrelated types for a graph that does not run
        raise OperatorError(f"{manifest.name} does not run: {(str(error).splitlines() or [repr(error)])[0]}") from None
    if vector.shape != (manifest.embedding_dim,):
        raise OperatorError(f"{manifest.name} gives vectors of shape {vector.shape}, not ({manifest.embedding_dim},)")
    if not np.isfinite(vector).all() or not vector.any():
        raise OperatorError(
            f"{manifest.name} gives no usable vector of the test card: zeros, infinities or not-a-numbers"
        )
    return vector


def _prove(manifest: Manifest, bundle: Path, vector: Vector, say: _Say) -> None:
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
        raise OperatorError(f"{manifest.name} does not load as it was baked: {error}") from None
    what = f"the graph {encoder.graph!r} of {manifest.name} makes another vector of the test card than the model itself"
    say(
        f"proved as the function loads it here ({encoder.graph}), cosine "
        f"{_require_same(embed_testcard(encoder), vector, what):.7f}"
    )


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
