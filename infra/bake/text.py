"""The text tower of a bundle: copy it, check that it runs, and describe it."""

import shutil
from pathlib import Path

import numpy as np

from handler.errors import BundleError, DropvecError
from handler.model.prepared import base_options, open_session
from handler.model.spec import BundleFile, TextSpec, with_fingerprint
from handler.model.text import TextEncoder, load_text_encoder
from infra.bake.manifest import Manifest, TextTower
from infra.bake.sources import Files
from infra.common.errors import OperatorError
from infra.common.hashing import file_sha256

GRAPH_FILE, TOKENIZER_FILE = "text.onnx", "tokenizer.json"

MASK = "attention_mask"

_PROBES = ("a photo of a cat", "two dogs on a beach at night")


def add_text(manifest: Manifest, tower: TextTower, files: Files, bundle: Path) -> TextEncoder:
    """Copy a text tower into a bundle, and load it from there.

    Raises:
        OperatorError: it does not match the manifest, or gives the same vector for different texts.
    """
    shutil.copyfile(files.path(tower.file), bundle / GRAPH_FILE)
    shutil.copyfile(files.path(tower.tokenizer), bundle / TOKENIZER_FILE)
    try:
        encoder = load_text_encoder(bundle, _spec(tower, bundle), manifest.embedding_dim)
        one, other = encoder.embed(_PROBES)
    except DropvecError as error:
        raise OperatorError(f"the text tower of {manifest.name} does not match its manifest: {error}") from None
    if not one.any() or np.allclose(one, other):
        raise OperatorError(
            f"the text tower of {manifest.name} gives the same vector for every text; check [text] in its manifest"
        )
    return encoder


def _spec(tower: TextTower, bundle: Path) -> TextSpec:
    dtype, mask = _inputs(bundle / GRAPH_FILE, tower.input)
    spec = TextSpec(
        graph=_file(bundle / GRAPH_FILE),
        tokenizer=_file(bundle / TOKENIZER_FILE),
        input_name=tower.input,
        input_dtype=dtype,
        mask_name=mask,
        output_name=tower.output,
        context_length=tower.context_length,
        pad_id=tower.pad_id,
        fingerprint="",
    )
    return with_fingerprint(spec)


def _file(path: Path) -> BundleFile:
    return BundleFile(path.name, path.stat().st_size, file_sha256(path))


def _inputs(path: Path, name: str) -> tuple[str, str | None]:
    """The dtype of the graph's token ids, and the name of its attention mask, which some exports of CLIP require."""
    inputs = {item.name: str(item.type) for item in open_session(path, base_options(1)).get_inputs()}
    if name not in inputs:
        raise BundleError(f"{path.name} has the inputs {', '.join(inputs)}, not {name!r}; correct [text] input")
    return inputs[name].removeprefix("tensor(").removesuffix(")"), MASK if MASK in inputs else None
