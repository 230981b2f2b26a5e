"""The words of a model without a text tower: is a text one of them, which labels does it find, which words are near.

This module imports neither numpy nor onnxruntime, because a search for a word needs no model. The labels of an image
come from `handler.model.class_labels`.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from handler.errors import BundleError, UnknownWordError
from handler.frozen import frozen

MOST_SUGGESTIONS = 5

_SPEC_FILE = "model.json"

# How similar two spellings must be, 0 to 1 by `difflib`, for one to be suggested instead of the other.
_LEAST_RATIO = 0.75

_SPACES = str.maketrans({"_": " ", "-": " ", "\N{RIGHT SINGLE QUOTATION MARK}": "'"})


def normalize_word(text: str) -> str:
    """A word in the form in which words are compared.

    Case does not matter, and spaces, underscores and hyphens are the same: "Grand_Piano" is "grand piano".
    """
    return " ".join(text.translate(_SPACES).casefold().split())


@frozen
class Vocabulary:
    """A closed set of words, each of which finds labels.

    Attributes:
        names: of the labels.
        words: normalised words, each with the indices of the labels that it finds.
    """

    names: tuple[str, ...]
    words: Mapping[str, tuple[int, ...]]

    def labels_of(self, text: str) -> tuple[str, ...]:
        """The names of the labels that a word finds, at least one.

        Raises:
            UnknownWordError: the text is not one of the words; the message names the nearest ones.
        """
        found = self.words.get(normalize_word(text))
        if found is None:
            raise UnknownWordError(_unknown(text, self.nearest(text)))
        return tuple(self.names[index] for index in found)

    def nearest(self, text: str) -> tuple[str, ...]:
        """The words nearest to a text, at most five: first those that contain it, then those of similar spelling."""
        from difflib import get_close_matches  # noqa: PLC0415 - only unknown words need it

        word = normalize_word(text)
        longer = sorted((known for known in self.words if word and f" {word} " in f" {known} "), key=len)
        similar = get_close_matches(word, self.words, MOST_SUGGESTIONS, _LEAST_RATIO)
        return tuple(dict.fromkeys([*longer, *similar]))[:MOST_SUGGESTIONS]


def load_vocabulary(bundle: Path) -> Vocabulary | None:
    """Load the vocabulary of a bundle; None if it has none.

    Raises:
        BundleError: a file is absent, or not the one that `model.json` describes.
    """
    try:
        labels = orjson.loads((bundle / _SPEC_FILE).read_bytes()).get("labels") or {}
        if "words" not in labels:
            return None
        names = tuple(_read(bundle, labels["names"])["names"])
        words = {word: tuple(found) for word, found in _read(bundle, labels["words"])["words"].items()}
        _check(names, words)
    except OSError as error:
        raise BundleError(f"{error.filename}: {error.strerror}; bake the bundle again") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{bundle} does not hold a vocabulary ({error!r}); bake the bundle again") from None
    return Vocabulary(names, words)


def _check(names: tuple[str, ...], words: Mapping[str, tuple[int, ...]]) -> None:
    if not all(found and 0 <= min(found) <= max(found) < len(names) for found in words.values()):
        raise ValueError("a word finds no label")


def _read(bundle: Path, file: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever JSON holds
    path = bundle / Path(file["name"]).name
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != file["sha256"]:
        raise BundleError(f"{path} is not the file that model.json describes (SHA-256); bake the bundle again")
    return orjson.loads(data)


def _unknown(text: str, nearest: tuple[str, ...]) -> str:
    shown = text if len(text) <= 60 else f"{text[:60]}…"
    hint = f"; the nearest known words: {', '.join(nearest)}" if nearest else "; no known word is near it"
    return f"{shown!r} is not in the vocabulary of this model{hint}"
