"""A bundle on this machine, without AWS: files and texts to vectors, and the cosine of two of them."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from handler.embed import embed_image, with_typed_errors
from handler.errors import DropvecError, MissingObjectError
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
    """Print a JSON line for each file and text: an entry as in a direct response, with the model and its fingerprints.

    Args:
        files: images.
        texts: texts.
        model: a manifest's name or a bundle's directory.
        normalize: whether to scale vectors to length 1.

    Raises:
        OperatorError: there is no such bundle or no text tower, nothing to embed, or something could not be embedded
            (all else was).
    """
    if not files and not texts:
        raise OperatorError("nothing to embed: name image files, or give a --text")
    local = Local.load(model)
    failed = 0
    for entry in local.entries(files, texts, normalize=normalize):
        failed += entry["status"] == "error"
        # As bytes: JSON is UTF-8 whatever the terminal's language is.
        sys.stdout.buffer.write(orjson.dumps(entry, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))
    if failed:
        sys.stdout.flush()
        raise OperatorError(f"{failed} of {len(files) + len(texts)} could not be embedded; their lines say why")


def compare(one: str, other: str, model: str) -> None:
    """Print the cosine of two images, or of an image and a text.

    Raises:
        OperatorError: one of them cannot be embedded.
    """
    local = Local.load(model)
    print(f"{cosine_of(local.vector(one), local.vector(other)):.6f}")


@dataclass
class Local:
    """A bundle loaded on this machine."""

    encoder: Encoder

    @classmethod
    def load(cls, model: str) -> "Local":
        """Load a bundle; a shipped model is baked first where it must be."""
        try:
            return cls(load_encoder(bundle_for(model)))
        except DropvecError as error:
            raise OperatorError(str(error)) from None

    @cached_property
    def texts(self) -> TextEncoder:
        """The text tower.

        Raises:
            OperatorError: there is none, or it does not load.
        """
        try:
            return load_text_tower(self.encoder)
        except DropvecError as error:
            raise OperatorError(str(error)) from None

    def entries(self, files: Sequence[Path], texts: Sequence[str], *, normalize: bool) -> Iterator[dict[str, Any]]:
        """Embed one after the other, each as an entry of a direct response that also names the model."""
        model = {"model": self.encoder.spec.name, "fingerprint": self.encoder.spec.fingerprint}
        # A model without a text tower is told before anything is printed.
        tower = {"text_fingerprint": self.texts.spec.fingerprint} if texts else {}
        for path in files:
            yield _entry(str(path), self._picture(path), normalize=normalize) | model
        for text in texts:
            yield _entry(text, self._text(text), normalize=normalize) | model | tower

    def vector(self, thing: str) -> Vector:
        """The vector of a file, or of a text that follows `text:`."""
        is_text = thing.startswith(TEXT_PREFIX)
        found = self._text(thing.removeprefix(TEXT_PREFIX)) if is_text else self._picture(Path(thing))
        if isinstance(found, DropvecError):
            raise OperatorError(f"{thing}: {found}")
        return found.vector

    def _text(self, text: str) -> Embedding | DropvecError:
        encoder = self.texts
        try:
            return Embedding(with_typed_errors(lambda: encoder.embed([text])[0]), normalized=False)
        except DropvecError as error:
            return error

    def _picture(self, path: Path) -> Embedding | DropvecError:
        try:
            data = path.read_bytes()
            check_size(len(data), MAX_IMAGE_BYTES)
            return with_typed_errors(lambda: embed_image(self.encoder, data, MAX_IMAGE_PIXELS, Stopwatch()))
        except DropvecError as error:
            return error
        except OSError as error:
            return MissingObjectError(f"cannot read it: {error.strerror}")


def _entry(name: str, found: Embedding | DropvecError, *, normalize: bool) -> dict[str, Any]:
    wanted = found.normalize() if normalize and isinstance(found, Embedding) else found
    return file_entry(_readable(name), wanted)


def _readable(name: str) -> str:
    """A command line's argument, with U+FFFD for bytes that are not UTF-8: JSON has no others."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
