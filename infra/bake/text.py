"""The text tower of a bundle: copy it, check that it runs, describe it, and prepare it for fast loading."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort

from handler.errors import BundleError, DropvecError
from handler.model.prepared import base_options, open_session
from handler.model.self_check import cosine_of
from handler.model.spec import BundleFile, TextSpec, with_fingerprint
from handler.model.text import CANONICAL_TEXT, TextEncoder, graph_inputs, load_text_encoder
from infra.bake.byte_pairs import NoTableError, byte_pairs
from infra.bake.manifest import Manifest, TextTower
from infra.bake.prepare import Tower, prepare
from infra.bake.sources import Files
from infra.common.errors import OperatorError
from infra.common.hashing import file_sha256

GRAPH_FILE, TOKENIZER_FILE, BYTE_PAIRS_FILE = "text.onnx", "tokenizer.json", "byte_pairs.bin"

MASK = "attention_mask"

_PROBES = (CANONICAL_TEXT, "two dogs on a beach at night", "", "Füße, 猫 and 3 cats' paws; " * 20)

# Of the vectors of the original model and of a prepared graph: float32 sums in another order give more.
MIN_COSINE = 0.999999

# 77 tokens take as long as 80. On the left, the weights of 12 layers are never copied: a session opens in a tenth of
# the time, and each text takes 10 to 15 % longer (measured with a tower of 63 million parameters).
_MAX_PADDING = 0.05


def add_text(manifest: Manifest, tower: TextTower, files: Files, bundle: Path) -> TextEncoder:
    """Copy a text tower into a bundle, and load it from there.

    Raises:
        OperatorError: it does not match the manifest, or gives the same vector for different texts.
    """
    shutil.copyfile(files.path(tower.file), bundle / GRAPH_FILE)
    shutil.copyfile(files.path(tower.tokenizer), bundle / TOKENIZER_FILE)
    try:
        encoder = load_text_encoder(bundle, _spec(tower, bundle), manifest.embedding_dim)
        one, other = encoder.embed(_PROBES[:2])
    except DropvecError as error:
        raise OperatorError(f"the text tower of {manifest.name} does not match its manifest: {error}") from None
    if not one.any() or np.allclose(one, other):
        raise OperatorError(
            f"the text tower of {manifest.name} gives the same vector for every text; check [text] in its manifest"
        )
    return encoder


def prepare_text(name: str, encoder: TextEncoder, bundle: Path) -> tuple[TextEncoder, str]:
    """Prepare a bundle's text tower for fast loading, and load it again.

    Args:
        name: the model's name.
        encoder: the text tower as loaded by `add_text`.
        bundle: the directory of a bundle that is being made.

    Returns:
        The text tower as the function loads it, and a line that says what was prepared. What cannot be prepared is
        loaded as it is: the original model, the `tokenizers` library.

    Raises:
        OperatorError: the prepared text tower gives other vectors, or does not load.
        OSError: the directory cannot be written.
    """
    spec, notes = _prepared_graphs(name, encoder, bundle)
    try:
        (bundle / BYTE_PAIRS_FILE).write_bytes(byte_pairs(bundle / TOKENIZER_FILE, encoder.tokenizer.library))
        spec = replace(spec, byte_pairs=_file(bundle / BYTE_PAIRS_FILE))
        notes.append("table for ASCII text")
    except NoTableError as error:
        notes.append(f"no table for ASCII text ({error})")
    try:
        prepared = load_text_encoder(bundle, spec, encoder.embedding_dim)
        pairs = zip(prepared.embed(_PROBES), encoder.embed(_PROBES), strict=True)
        cosine = min(cosine_of(one, other) for one, other in pairs)
    except DropvecError as error:
        raise OperatorError(f"the prepared text tower of {name} does not load: {error}") from None
    if not cosine >= MIN_COSINE:
        raise OperatorError(
            f"the prepared text tower of {name} gives other vectors than the model, cosine {cosine:.7f}"
        )
    return prepared, f"{', '.join(notes)}; cosine to the original model {cosine:.7f}"


def _prepared_graphs(name: str, encoder: TextEncoder, bundle: Path) -> tuple[TextSpec, list[str]]:
    spec = encoder.spec
    (vector,) = encoder.embed([CANONICAL_TEXT])
    spec = replace(spec, canonical_vector=tuple(float(f"{value:.9g}") for value in vector))
    tower = Tower(
        name=f"the text tower of {name}",
        inputs=graph_inputs(encoder.tokenizer, CANONICAL_TEXT, spec),
        output=spec.output_name,
        vector=vector,
        min_cosine=MIN_COSINE,
        prefix="text-",
        max_padding=_MAX_PADDING,
    )
    try:
        made = prepare((bundle / GRAPH_FILE).read_bytes(), tower, bundle)
    except OperatorError as error:
        return spec, [f"not prepared: {error}"]
    notes = [entry.name for entry in made.prepared] + [made.note] * bool(made.note)
    canary_output = tuple(made.canary_values()) if any(entry.canary for entry in made.prepared) else ()
    spec = replace(spec, prepared=made.prepared, prepared_by=ort.__version__, canary_output=canary_output)
    return spec, notes


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
