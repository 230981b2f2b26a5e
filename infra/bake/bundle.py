"""Manifest -> source files -> graph -> prepared graphs -> model.json -> verification -> bundle."""

import json
import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console

from handler.images.preprocess import to_tensor
from handler.model.encoder import Vector
from handler.model.fingerprint import DECODE_POLICY, fingerprint_of
from handler.model.self_check import MIN_COSINE
from handler.model.spec import BUNDLE_FORMAT, SPEC_FILE, ModelSpec, load_spec
from handler.model.test_card import draw_test_card
from handler.model.text import TextEncoder
from infra.bake.class_labels import bake_class_labels
from infra.bake.fingerprint import content_hash
from infra.bake.graph import build_graph
from infra.bake.labels import DEFAULT_TEMPLATE, bake_labels, check_template, read_labels
from infra.bake.licence import LICENCE_FILE, write_licence
from infra.bake.manifest import Manifest, Pixels
from infra.bake.manifest_file import find_manifest, read_manifest
from infra.bake.output_dir import cannot_write, check_output_dir, move, scratch
from infra.bake.plausibility import warnings_of
from infra.bake.prepare import Tower, prepare
from infra.bake.sources import Files, fetch
from infra.bake.text import add_text, prepare_text
from infra.bake.verify import model_vector, verify
from infra.common.errors import OperatorError
from infra.common.hashing import file_sha256
from infra.common.paths import CACHE

GRAPH_FILE = "image.onnx"


@dataclass(frozen=True)
class Options:
    """Options of a bake.

    Attributes:
        accepted: SHA-256, hex, of files that are not pinned in the manifest and that the user accepts.
        mirror: replaces the hosts of the manifest.
        text: whether the bundle includes the model's text tower, if it has one.
        labels: a file of labels that every image is compared with.
        label_template: the text that is embedded for a label, with the placeholder `{}` for it.
        progress: whether to print a line for each step.
        cache: where downloaded files are kept.
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
        out: the bundle's directory; an existing bundle is replaced atomically, and only by a verified one.
        options: None for the defaults.

    Returns:
        `out` as an absolute path.

    Raises:
        OperatorError: the bake failed; `out` is unchanged.
    """
    options = options or Options()
    manifest, out = read_manifest(find_manifest(name_or_path)), out.resolve()
    check_template(options.label_template)
    names = _label_names(manifest, options)
    if not (options.text or names):
        manifest = replace(manifest, text=None)
    say = _Say(manifest.name, loud=options.progress)
    check_output_dir(out)
    say(f"fetching from {manifest.source.requirement or options.mirror or manifest.source.base or manifest.folder}")
    console = Console(stderr=True) if options.progress else None
    files = fetch(manifest, options.accepted, options.mirror, options.cache, console)
    try:
        with scratch(out) as folder:
            made = folder / "bundle"
            made.mkdir()
            _make(manifest, files, made, say)
            if manifest.text is not None:
                encoder = add_text(manifest, manifest.text, files, made)
                _keep_text(encoder, made, names, options, say)
            move(made, out)
    except OSError as error:
        raise cannot_write(out, error) from None
    return out


@dataclass(frozen=True)
class _Say:
    name: str
    loud: bool

    def __call__(self, line: str) -> None:
        if self.loud:
            print(f"{self.name}: {line}", file=sys.stderr, flush=True)


def _make(manifest: Manifest, files: Files, bundle: Path, say: _Say) -> None:
    """Write the image tower, the licence and `model.json` of a bundle, and verify them."""
    write_licence(manifest, files, bundle, say)
    say("building the graph")
    graph, output = build_graph(manifest.image, files.path(manifest.image.file))
    (bundle / GRAPH_FILE).write_bytes(graph)
    content = content_hash(graph)
    spec = _spec(manifest, files, bundle) | {
        "fingerprint": fingerprint_of(content, output, _pixels(manifest.preprocess)),
        "content_sha256": content,
        "output_name": output,
    }
    if manifest.labels is not None:
        weights = files.path(manifest.image.file)
        spec["labels"] = asdict(bake_class_labels(manifest.labels, manifest.folder, weights, bundle))
    unknown_yet = {"canonical_vector": [0.0] * manifest.embedding_dim, "prepared": [], "canary_output": []}
    _write_spec(bundle, spec | unknown_yet | {"prepared_by": ""})
    vector = model_vector(manifest, bundle)
    for warning in warnings_of(bundle):
        say(f"warning: {warning}")
    spec["canonical_vector"] = [float(f"{value:.9g}") for value in vector]
    say("preparing the graph for fast loading")
    prepared = prepare(graph, _tower(load_spec(bundle), vector), bundle)
    _write_spec(bundle, spec | prepared.fields())
    say(prepared.note or f"prepared: {', '.join(entry.name for entry in prepared.prepared)}")
    verify(manifest, bundle, vector, say)


def _tower(spec: ModelSpec, vector: Vector) -> Tower:
    inputs = {spec.input_name: to_tensor(Image.fromarray(draw_test_card()), spec.preprocess)}
    return Tower(spec.name, inputs, spec.output_name, vector, MIN_COSINE)


def _label_names(manifest: Manifest, options: Options) -> tuple[str, ...]:
    if options.labels is None:
        return ()
    if manifest.text is None:
        raise OperatorError(
            f"{manifest.name} has no text tower, which --labels needs; leave --labels out, or choose another model"
        )
    return read_labels(options.labels)


def _keep_text(encoder: TextEncoder, bundle: Path, names: tuple[str, ...], options: Options, say: _Say) -> None:
    """Add the labels and the text tower to `model.json`; delete the text tower if only the labels are wanted."""
    spec = json.loads((bundle / SPEC_FILE).read_bytes())
    if names:
        spec["labels"] = asdict(bake_labels(names, encoder, bundle, options.label_template))
    if options.text:
        say("preparing the text tower for fast loading")
        prepared, note = prepare_text(say.name, encoder, bundle)
        spec["text"] = asdict(prepared.spec)
        say(f"text tower: {encoder.spec.context_length} tokens, {len(names)} labels; {note}")
    else:
        (bundle / encoder.spec.graph.name).unlink()
        (bundle / encoder.spec.tokenizer.name).unlink()
        say(f"text tower: left out, {len(names)} labels")
    _write_spec(bundle, spec)


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
