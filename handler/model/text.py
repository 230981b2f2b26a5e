"""Texts -> vectors, by the text tower of a CLIP. Nothing imports this module before a text is asked for.

CLIP's convention, as OpenAI's and OpenCLIP's tokenizers have it: a start token, the text's byte pairs, an end token,
then padding up to the context. A text that is too long is cut and still ends in the end token. MobileCLIP was trained
with padding 0 and sees it (its text tower has no causal mask), whereas Hugging Face's tokenizers for CLIP pad with the
end token: what pads is the bundle's to say, never the tokenizer's.
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
from handler.model.encoder import Encoder, threads
from handler.model.prepared import base_options, check_bytes, open_session
from handler.model.spec import TextSpec, require_text_tower

Ids = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

# Characters of a text that are looked at. A token of CLIP's has 32 bytes at most, so its 75 end long before this; a
# megabyte of digits would take seconds.
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

        One at a time: a batch is not faster, and so a text's vector does not depend on its neighbours.

        Raises:
            BundleError: the tokenizer or the graph fails.
            InternalError: the graph gave no vector.
        """
        rows = [_finite(_run(self, text)) for text in texts]
        return np.concatenate(rows) if rows else np.empty((0, self.embedding_dim), np.float32)


def _run(encoder: TextEncoder, text: str) -> Vectors:
    spec = encoder.spec
    framed = _framed(encoder.tokenizer, text, spec.context_length)
    rows = {spec.input_name: _padded(framed, spec.context_length, spec.pad_id)}
    if spec.mask_name is not None:
        rows[spec.mask_name] = _padded([1] * len(framed), spec.context_length, 0)
    feed = {name: row[np.newaxis].astype(spec.input_dtype) for name, row in rows.items()}
    try:
        (output,) = encoder.session.run([spec.output_name], feed)
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a dozen unrelated types
        raise BundleError(f"{spec.graph.name} cannot embed a text: {_first_line(error)}") from None
    vector: Vectors = output
    return vector


def _finite(vector: Vectors) -> Vectors:
    if not np.isfinite(vector).all():
        raise InternalError("the text tower gave a vector with infinities or not-a-numbers in it")
    return vector


def token_ids(tokenizer: Tokenizer, text: str, spec: TextSpec) -> Ids:
    """The ids of a text, int64 (context_length,): start token, byte pairs, end token, padding.

    Args:
        tokenizer: as `load_text_encoder` sets it up: it cuts and pads nothing itself.
        text: anything. White space is as good as one space, a lone surrogate as U+FFFD. What reads like a special
            token is text: no text can end itself early.
        spec: the context and its padding.
    """
    return _padded(_framed(tokenizer, text, spec.context_length), spec.context_length, spec.pad_id)


def _framed(tokenizer: Tokenizer, text: str, length: int) -> list[int]:
    # Every word makes one token at least, so those beyond the context cannot matter.
    head = " ".join(text.split(maxsplit=length)[:length])[:MAX_CHARACTERS]
    ids = _encode(tokenizer, head.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
    return ids if len(ids) <= length else [*ids[: length - 1], ids[-1]]


def _padded(ids: list[int], length: int, fill: int) -> Ids:
    row = np.full(length, fill, dtype=np.int64)
    row[: len(ids)] = ids
    return row


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    with _caught("the bundle's tokenizer fails"):
        ids: list[int] = tokenizer.encode(text).ids
    return ids


@contextmanager
def _caught(what: str) -> Iterator[None]:
    """Make a `BundleError` of what `tokenizers` raises: a panic of its Rust code is not even an `Exception`."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - see above
        raise BundleError(f"{what}: {_first_line(error)}") from None


def load_text_tower(encoder: Encoder) -> TextEncoder:
    """The text tower that belongs to a loaded image encoder; loaded once, and kept.

    Raises:
        NoTextTowerError: its bundle has none.
        BundleError: a file is absent or not what `model.json` says.
    """
    spec = encoder.spec
    return _kept(encoder.bundle, require_text_tower(spec), spec.embedding_dim)


def load_text_encoder(bundle: Path, spec: TextSpec, embedding_dim: int) -> TextEncoder:
    """Load a bundle's text tower, and embed an empty text to see that its parts fit each other.

    Raises:
        BundleError: a file is absent or not what `spec` says.
    """
    for file in (spec.tokenizer, spec.graph):
        check_bytes(bundle, file)
    tokenizer = _load_tokenizer(bundle / spec.tokenizer.name)
    session = open_session(bundle / spec.graph.name, base_options(threads()))
    _check_signature(session, spec)
    encoder = TextEncoder(spec, embedding_dim, tokenizer, session)
    _check_vector(encoder)
    return encoder


_kept = cache(load_text_encoder)


def _load_tokenizer(path: Path) -> Tokenizer:
    with _caught(f"{path} is not a tokenizer"):
        tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    frame = _encode(tokenizer, "")
    if len(frame) != 2:
        raise BundleError(f"{path} frames a text with {len(frame)} tokens, not with a start and an end token")
    return tokenizer


def _check_signature(session: ort.InferenceSession, spec: TextSpec) -> None:
    wanted = {name for name in (spec.input_name, spec.mask_name) if name is not None}
    inputs = {item.name: (item.type, item.shape) for item in session.get_inputs()}
    good = inputs.keys() == wanted and all(_takes(*found, spec) for found in inputs.values())
    if not good:
        names = " and ".join(sorted(wanted))
        raise BundleError(
            f"{spec.graph.name} takes {inputs}, not {names} {spec.input_dtype} [N, {spec.context_length}]"
        )
    outputs = {item.name: (item.type, item.shape) for item in session.get_outputs()}
    if spec.output_name not in outputs:
        raise BundleError(f"{spec.graph.name} gives {outputs}, not {spec.output_name}")


def _takes(kind: str, shape: list[Any], spec: TextSpec) -> bool:
    # A free dimension is a name or None.
    fixed = [[size] if isinstance(size, int) else [1, spec.context_length] for size in shape]
    return (
        kind == f"tensor({spec.input_dtype})" and len(fixed) == 2 and 1 in fixed[0] and spec.context_length in fixed[1]
    )


def _check_vector(encoder: TextEncoder) -> None:
    vector = np.asarray(_run(encoder, ""))
    if vector.dtype != np.float32 or vector.shape != (1, encoder.embedding_dim):
        raise BundleError(
            f"{encoder.spec.graph.name} gives {encoder.spec.output_name} {vector.dtype} {list(vector.shape)}, "
            f"not float32 [1, {encoder.embedding_dim}]"
        )
    if not np.isfinite(vector).all():
        raise BundleError(f"{encoder.spec.graph.name} gives values that are not numbers; bake the bundle again")


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
