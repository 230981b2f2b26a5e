"""Text towers and labels of bundles."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import orjson

from handler.model.spec import BundleFile, TextSpec, with_fingerprint
from handler.model.text import TextEncoder, load_text_encoder
from infra.bake.labels import bake_labels
from infra.common.hashing import file_sha256
from tests.support.clip_tokenizer import write_tokenizer
from tests.support.towers import CONTEXT, DIM, Tower, make_tower

GRAPH_FILE, TOKENIZER_FILE = "text.onnx", "tokenizer.json"

SPEC = TextSpec(
    graph=BundleFile(GRAPH_FILE, 0, ""),
    tokenizer=BundleFile(TOKENIZER_FILE, 0, ""),
    input_name="input_ids",
    input_dtype="int64",
    mask_name=None,
    output_name="text_embeds",
    context_length=CONTEXT,
    pad_id=0,
    fingerprint="",
)


def load(bundle: Path, spec: TextSpec = SPEC, dim: int = DIM) -> TextEncoder:
    """Load a text tower from a directory, with the sizes and hashes of its current files."""
    current = replace(spec, graph=_describe(bundle / GRAPH_FILE), tokenizer=_describe(bundle / TOKENIZER_FILE))
    return load_text_encoder(bundle, with_fingerprint(current), dim)


def _describe(path: Path) -> BundleFile:
    if not path.is_file():
        return BundleFile(path.name, 1, "")
    return BundleFile(path.name, path.stat().st_size, file_sha256(path))


def add_text(bundle: Path, dim: int, labels: Sequence[str] = (), tower: Tower | None = None) -> TextEncoder:
    """Add a text tower and labels to a bundle; by default `make_tower`'s tower."""
    write_tokenizer(bundle / TOKENIZER_FILE)
    (tower or make_tower(dim=dim)).write(bundle / GRAPH_FILE)
    encoder = load(bundle, SPEC, dim)
    fields = orjson.loads((bundle / "model.json").read_bytes())
    fields["text"] = asdict(encoder.spec)
    if labels:
        fields["labels"] = asdict(bake_labels(labels, encoder, bundle))
    (bundle / "model.json").write_bytes(orjson.dumps(fields))
    return encoder
