"""The text encoder of a CLIP model. This module is imported only when a request contains text.

Token ids follow the convention of OpenAI's and OpenCLIP's tokenizers: a start token, the text's byte pairs, an end
token, then padding up to the context length. A text that is too long is truncated, and still ends with the end token.
MobileCLIP was trained with padding 0, and the padding changes its vectors (its text tower has no causal mask), but
Hugging Face's tokenizers for CLIP pad with the end token. So the bundle specifies the padding, not the tokenizer.
https://github.com/mlfoundations/open_clip/blob/main/src/open_clip/tokenizer.py
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from tokenizers import Tokenizer

from handler.errors import BundleError, InternalError
from handler.model.encoder import Encoder, thread_count
from handler.model.prepared import base_options, check_bytes, open_session
from handler.model.spec import TextSpec, require_text_tower

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

# The rest of a text is ignored. CLIP's tokens have at most 32 bytes, so 75 tokens always end before this limit, and
# tokenizing a megabyte of digits would take seconds.
MAX_CHARACTERS = 10_000


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """A loaded text encoder."""

    spec: TextSpec
    embedding_dim: int
    tokenizer: Tokenizer
    session: ort.InferenceSession

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
    ids = _token_ids(encoder.tokenizer, text, spec.context_length)
    rows = {spec.input_name: _padded(ids, spec.context_length, spec.pad_id)}
    if spec.mask_name is not None:
        rows[spec.mask_name] = _padded([1] * len(ids), spec.context_length, 0)
    feed = {name: row[np.newaxis].astype(spec.input_dtype) for name, row in rows.items()}
    try:
        (output,) = encoder.session.run([spec.output_name], feed)
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a dozen unrelated types
        raise BundleError(f"{spec.graph.name} cannot embed a text: {_first_line(error)}") from None
    vector: Vectors = output
    return vector


def _finite(vector: Vectors) -> Vectors:
    if not np.isfinite(vector).all():
        raise InternalError("the text tower returned a vector with infinities or NaNs")
    return vector


def token_ids(tokenizer: Tokenizer, text: str, spec: TextSpec) -> Ids:
    """The token ids of a text, int64 (context_length,): start token, byte pairs, end token, padding.

    Args:
        tokenizer: as loaded by `load_text_encoder`, without truncation and padding.
        text: any string. A run of white space counts as one space, a lone surrogate as U+FFFD. The name of a special
            token is ordinary text, so that a text cannot contain an end token.
        spec: the context length and the padding.
    """
    return _padded(_token_ids(tokenizer, text, spec.context_length), spec.context_length, spec.pad_id)


def _token_ids(tokenizer: Tokenizer, text: str, length: int) -> list[int]:
    # Every word has at least one token, so words beyond the context length have no effect.
    head = " ".join(text.split(maxsplit=length)[:length])[:MAX_CHARACTERS]
    ids = _encode(tokenizer, head.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
    return ids if len(ids) <= length else [*ids[: length - 1], ids[-1]]


def _padded(ids: list[int], length: int, fill: int) -> Ids:
    row = np.full(length, fill, dtype=np.int64)
    row[: len(ids)] = ids
    return row


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    with _bundle_errors("the bundle's tokenizer failed"):
        ids: list[int] = tokenizer.encode(text).ids
    return ids


@contextmanager
def _bundle_errors(problem: str) -> Iterator[None]:
    """Convert errors of the `tokenizers` library to `BundleError`; a panic of its Rust code is no `Exception`."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - see above
        raise BundleError(f"{problem}: {_first_line(error)}") from None


def load_text_tower(encoder: Encoder) -> TextEncoder:
    """The text tower of a loaded image encoder's bundle; loaded once, then cached.

    Raises:
        NoTextTowerError: the bundle has no text tower.
        BundleError: a file is missing or does not match `model.json`.
    """
    spec = encoder.spec
    return _load_cached(encoder.bundle, require_text_tower(spec), spec.embedding_dim)


def load_text_encoder(bundle: Path, spec: TextSpec, embedding_dim: int) -> TextEncoder:
    """Load a bundle's text tower, and embed an empty text to check that tokenizer and graph fit together.

    Raises:
        BundleError: a file is missing or does not match `spec`.
    """
    for file in (spec.tokenizer, spec.graph):
        check_bytes(bundle, file)
    tokenizer = _load_tokenizer(bundle / spec.tokenizer.name)
    session = open_session(bundle / spec.graph.name, base_options(thread_count()))
    _check_signature(session, spec)
    encoder = TextEncoder(spec, embedding_dim, tokenizer, session)
    _check_vector(encoder)
    return encoder


_load_cached = cache(load_text_encoder)


def _load_tokenizer(path: Path) -> Tokenizer:
    with _bundle_errors(f"{path} is not a tokenizer of the tokenizers library"):
        tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    added = _encode(tokenizer, "")
    if len(added) != 2:
        raise BundleError(f"{path} adds {len(added)} tokens to a text; expected 2, a start and an end token")
    return tokenizer


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
    vector = np.asarray(_run(encoder, ""))
    if vector.dtype != np.float32 or vector.shape != (1, encoder.embedding_dim):
        raise BundleError(
            f"{encoder.spec.graph.name} returns {encoder.spec.output_name} {vector.dtype} {list(vector.shape)}; "
            f"expected float32 [1, {encoder.embedding_dim}]"
        )
    if not np.isfinite(vector).all():
        raise BundleError(f"{encoder.spec.graph.name} returns infinities or NaNs; bake the bundle again")


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
