"""Embed files and texts with a bundle on this machine, without AWS; compare two vectors."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from handler.embed import embed_image
from handler.errors import DropvecError, MissingObjectError
from handler.log import with_typed_errors
from handler.model.encoder import Encoder, Vector, load_encoder
from handler.model.self_check import cosine_of
from handler.model.text import TextEncoder, load_text_tower
from handler.results.record import Embedding, file_entry
from handler.settings import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS
from handler.sizes import check_size
from handler.timing import Stopwatch
from infra.bake.reuse import bundle_for
from infra.common.errors import OperatorError

TEXT_PREFIX = "text:"


def embed(files: Sequence[Path], texts: Sequence[str], model: str, *, normalize: bool) -> None:
    """Print a JSON line for each file and text: an entry of a direct response, with the model and its fingerprints.

    Args:
        files: image files.
        texts: texts.
        model: name of a manifest, or a bundle's directory.
        normalize: whether to scale vectors to length 1.

    Raises:
        OperatorError: there is no such bundle, it has no text tower, there is nothing to embed, or some inputs could
            not be embedded (the others were).
    """
    if not files and not texts:
        raise OperatorError("nothing to embed: give image files, or texts with --text")
    embedder = LocalEmbedder.load(model)
    failed = 0
    for entry in embedder.entries(files, texts, normalize=normalize):
        failed += entry["status"] == "error"
        # Bytes, because JSON is UTF-8 whatever the terminal's encoding is.
        sys.stdout.buffer.write(orjson.dumps(entry, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))
    if failed:
        sys.stdout.flush()
        total = len(files) + len(texts)
        raise OperatorError(f"{failed} of {total} could not be embedded; see `error` in their lines")


def compare(first: str, second: str, model: str) -> None:
    """Print the cosine similarity of two images, or of an image and a text.

    Raises:
        OperatorError: one of them cannot be embedded.
    """
    embedder = LocalEmbedder.load(model)
    print(f"{cosine_of(embedder.vector(first), embedder.vector(second)):.6f}")


@dataclass
class LocalEmbedder:
    """A bundle loaded on this machine."""

    encoder: Encoder

    @classmethod
    def load(cls, model: str) -> "LocalEmbedder":
        """Load a bundle; a shipped model is baked first if needed."""
        try:
            return cls(load_encoder(bundle_for(model)))
        except DropvecError as error:
            raise OperatorError(str(error)) from None

    @cached_property
    def texts(self) -> TextEncoder:
        """The text tower.

        Raises:
            OperatorError: the bundle has none, or it does not load.
        """
        try:
            return load_text_tower(self.encoder)
        except DropvecError as error:
            raise OperatorError(str(error)) from None

    def entries(self, files: Sequence[Path], texts: Sequence[str], *, normalize: bool) -> Iterator[dict[str, Any]]:
        """Embed files and texts one by one, each as an entry of a direct response with the model's name."""
        model = {"model": self.encoder.spec.name, "fingerprint": self.encoder.spec.fingerprint}
        # Raises for a model without a text tower before anything is printed.
        tower = {"text_fingerprint": self.texts.spec.fingerprint} if texts else {}
        for path in files:
            yield _entry(str(path), self._image(path), normalize=normalize) | model
        for text in texts:
            yield _entry(text, self._text(text), normalize=normalize) | model | tower

    def vector(self, argument: str) -> Vector:
        """The vector of a file, or of a text if the argument starts with `text:`."""
        is_text = argument.startswith(TEXT_PREFIX)
        result = self._text(argument.removeprefix(TEXT_PREFIX)) if is_text else self._image(Path(argument))
        if isinstance(result, DropvecError):
            raise OperatorError(f"{argument}: {result}")
        return result.vector

    def _text(self, text: str) -> Embedding | DropvecError:
        encoder = self.texts
        try:
            return Embedding(with_typed_errors(lambda: encoder.embed([text])[0]), normalized=False)
        except DropvecError as error:
            return error

    def _image(self, path: Path) -> Embedding | DropvecError:
        try:
            data = path.read_bytes()
            check_size(len(data), MAX_IMAGE_BYTES)
            return with_typed_errors(lambda: embed_image(self.encoder, data, MAX_IMAGE_PIXELS, Stopwatch()))
        except DropvecError as error:
            return error
        except OSError as error:
            return MissingObjectError(f"cannot read the file: {error.strerror}")


def _entry(name: str, result: Embedding | DropvecError, *, normalize: bool) -> dict[str, Any]:
    normalized = result.normalize() if normalize and isinstance(result, Embedding) else result
    return file_entry(_as_utf8(name), normalized)


def _as_utf8(name: str) -> str:
    """A command line argument with U+FFFD for bytes that are not UTF-8, which JSON requires."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
