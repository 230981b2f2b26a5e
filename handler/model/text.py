"""The text encoder of a CLIP model. It is loaded when the first text arrives, without the image encoder.

Like the image encoder it has prepared graphs (`handler.model.prepared`). They were compared with the original model
when the bundle was baked, so they are not tried again at load; the original model is.

Token ids follow the convention of OpenAI's and OpenCLIP's tokenizers: a start token, the text's byte pairs, an end
token, then padding up to the context length. A text that is too long is truncated, and still ends with the end token.
MobileCLIP was trained with padding 0, and the padding changes its vectors (its text tower has no causal mask), but
Hugging Face's tokenizers for CLIP pad with the end token. So the bundle specifies the padding, not the tokenizer.
https://github.com/mlfoundations/open_clip/blob/main/src/open_clip/tokenizer.py
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from handler.errors import BundleError, InternalError
from handler.frozen import frozen
from handler.model.bundle_files import check_bytes, check_size
from handler.model.encoder import PORTABLE, thread_count
from handler.model.mmap_threshold import fix_mmap_threshold
from handler.model.prepared import base_options, choose_graph, open_session, prepared_options
from handler.model.spec import TextSpec, load_spec, require_text_tower
from handler.model.tokenizer import Tokenizer, load_tokenizer

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

# The rest of a text is ignored. CLIP's tokens have at most 32 bytes, so 75 tokens always end before this limit, and
# tokenizing a megabyte of digits would take seconds.
MAX_CHARACTERS = 10_000

# The text whose vector `model.json` has, to check the loaded graph with.
CANONICAL_TEXT = "a photo of a cat"


@frozen
class TextEncoder:
    """A loaded text encoder.

    Attributes:
        spec: the text tower's part of `model.json`.
        embedding_dim: length of a vector.
        tokenizer: the bundle's tokenizer.
        session: the loaded graph.
        graph: the loaded graph's name: a prepared graph's, or `portable` for the original model.
    """

    spec: TextSpec
    embedding_dim: int
    tokenizer: Tokenizer
    session: ort.InferenceSession
    graph: str

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed n texts into (n, embedding_dim) float32, not normalised.

        Texts are embedded one at a time: a batch is not faster, and a text's vector must not depend on the other texts.

        Raises:
            BundleError: the tokenizer or the graph fails.
            InternalError: a vector contains infinities or NaNs.
        """
        rows = [_finite(_run(self, text)) for text in texts]
        return np.concatenate(rows) if rows else np.empty((0, self.embedding_dim), np.float32)


def _run(encoder: TextEncoder, text: str) -> Vectors:
    spec = encoder.spec
    try:
        (output,) = encoder.session.run([spec.output_name], graph_inputs(encoder.tokenizer, text, spec))
    except BundleError:
        raise
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a dozen unrelated types
        raise BundleError(f"{spec.graph.name} cannot embed a text: {_first_line(error)}") from None
    vector: Vectors = np.asarray(output)
    if vector.dtype != np.float32 or vector.shape != (1, encoder.embedding_dim):
        raise BundleError(
            f"{spec.graph.name} returns {spec.output_name} {vector.dtype} {list(vector.shape)}; "
            f"expected float32 [1, {encoder.embedding_dim}]"
        )
    return vector


def _finite(vector: Vectors) -> Vectors:
    if not np.isfinite(vector).all():
        raise InternalError("the text tower returned a vector with infinities or NaNs")
    return vector


def graph_inputs(tokenizer: Tokenizer, text: str, spec: TextSpec) -> dict[str, npt.NDArray[np.integer]]:
    """The inputs of the graph for a text, each (1, context_length) of `input_dtype`: token ids, and the mask if any."""
    ids = _token_ids(tokenizer, text, spec.context_length)
    rows = {spec.input_name: _padded(ids, spec.context_length, spec.pad_id)}
    if spec.mask_name is not None:
        rows[spec.mask_name] = _padded([1] * len(ids), spec.context_length, 0)
    return {name: row[np.newaxis].astype(spec.input_dtype) for name, row in rows.items()}


def token_ids(tokenizer: Tokenizer, text: str, spec: TextSpec) -> Ids:
    """The token ids of a text, int64 (context_length,): start token, byte pairs, end token, padding.

    Args:
        tokenizer: the bundle's.
        text: any string. A run of white space counts as one space, a lone surrogate as U+FFFD. The name of a special
            token is ordinary text, so that a text cannot contain an end token.
        spec: the context length and the padding.
    """
    return _padded(_token_ids(tokenizer, text, spec.context_length), spec.context_length, spec.pad_id)


def _token_ids(tokenizer: Tokenizer, text: str, length: int) -> list[int]:
    # Every word has at least one token, so words beyond the context length have no effect.
    head = " ".join(text.split(maxsplit=length)[:length])[:MAX_CHARACTERS]
    ids = tokenizer.ids(head.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
    return ids if len(ids) <= length else [*ids[: length - 1], ids[-1]]


def _padded(ids: list[int], length: int, fill: int) -> Ids:
    row = np.full(length, fill, dtype=np.int64)
    row[: len(ids)] = ids
    return row


def load_text_tower(bundle: Path) -> TextEncoder:
    """A bundle's text tower, without its image encoder; loaded once, then cached.

    Raises:
        NoTextTowerError: the bundle has no text tower.
        BundleError: a file is missing or does not match `model.json`.
    """
    encoder = loaded_text_tower(bundle)
    if encoder is None:
        spec = load_spec(bundle)
        encoder = _loaded[bundle] = load_text_encoder(bundle, require_text_tower(spec), spec.embedding_dim)
    return encoder


def loaded_text_tower(bundle: Path) -> TextEncoder | None:
    """The text tower that `load_text_tower` has loaded; None if it has not."""
    return _loaded.get(bundle)


_loaded: dict[Path, TextEncoder] = {}


def load_text_encoder(bundle: Path, spec: TextSpec, embedding_dim: int) -> TextEncoder:
    """Load a bundle's text tower; if no prepared graph fits, load the original model and embed an empty text with it.

    Raises:
        BundleError: a file is missing or does not match `spec`.
    """
    fix_mmap_threshold()  # the tensors of a text have up to 616 KB
    check_size(bundle, spec.graph)
    tokenizer = load_tokenizer(bundle, spec)
    prepared = choose_graph(bundle, spec)
    if prepared is None:
        check_bytes(bundle, spec.graph)
        session = open_session(bundle / spec.graph.name, base_options(thread_count()))
    else:
        options = prepared_options(thread_count())
        options.enable_cpu_mem_arena = False  # 3 MiB less, and not slower: the tensors of one text are small
        session = open_session(bundle / prepared.graph.name, options)
    _check_signature(session, spec)
    encoder = TextEncoder(spec, embedding_dim, tokenizer, session, PORTABLE if prepared is None else prepared.name)
    if prepared is None:
        _check_vector(encoder)
    return encoder


def _check_signature(session: ort.InferenceSession, spec: TextSpec) -> None:
    expected = {name for name in (spec.input_name, spec.mask_name) if name is not None}
    inputs = {item.name: (item.type, item.shape) for item in session.get_inputs()}
    if inputs.keys() != expected or not all(_accepts_tokens(*found, spec) for found in inputs.values()):
        names = " and ".join(sorted(expected))
        raise BundleError(
            f"the inputs of {spec.graph.name} are {inputs}; "
            f"expected {names} {spec.input_dtype} [N, {spec.context_length}]"
        )
    outputs = {item.name: (item.type, item.shape) for item in session.get_outputs()}
    if spec.output_name not in outputs:
        raise BundleError(f"the outputs of {spec.graph.name} are {outputs}; expected {spec.output_name}")


def _accepts_tokens(kind: str, shape: list[Any], spec: TextSpec) -> bool:
    if kind != f"tensor({spec.input_dtype})" or len(shape) != 2:
        return False
    # A dimension without a fixed size is a name or None.
    expected = (1, spec.context_length)
    return all(not isinstance(size, int) or size == wanted for size, wanted in zip(shape, expected, strict=True))


def _check_vector(encoder: TextEncoder) -> None:
    if not np.isfinite(_run(encoder, "")).all():
        raise BundleError(f"{encoder.spec.graph.name} returns infinities or NaNs; bake the bundle again")


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
