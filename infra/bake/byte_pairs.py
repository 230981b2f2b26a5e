"""`tokenizer.json` -> the table of `handler.model.byte_pairs`, if both give the same ids."""

import json
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from random import Random
from struct import pack
from typing import TYPE_CHECKING, Any

from handler.model.byte_pairs import read_byte_pairs

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END_OF_WORD = "</w>"

_ASCII = [chr(code) for code in range(128)]
_RANDOM_TEXTS, _RANDOM_LENGTH = 1_000, 30
_TOKENS = 2_000


class NoTableError(Exception):
    """A tokenizer has another form than CLIP's; the text says how."""


def byte_pairs(path: Path, library: "Tokenizer") -> bytes:
    """The table of a `tokenizer.json`, compared with the `tokenizers` library on 20,000 ASCII texts.

    Args:
        path: of the `tokenizer.json`.
        library: it, as the library has loaded it.

    Raises:
        NoTableError: the tokenizer has another form, or gives other ids.
    """
    start, end = library.encode("").ids
    try:
        model = json.loads(path.read_bytes())["model"]
        data = _table(model, start, end)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise NoTableError(f"it is not a byte-pair encoding with {END_OF_WORD}: {error!r}"[:200]) from None
    table = read_byte_pairs(data)
    texts = list(_texts(model["vocab"]))
    for text, expected in zip(texts, library.encode_batch(texts), strict=True):
        ids = table.ids(text)
        if ids is not None and ids != expected.ids:
            raise NoTableError(f"it gives other ids for {text!r}")
    return data


def _table(model: Mapping[str, Any], start: int, end: int) -> bytes:
    if model["type"] != "BPE" or model["end_of_word_suffix"] != END_OF_WORD:
        raise ValueError(f"type {model['type']!r}, end of a word {model['end_of_word_suffix']!r}")
    vocabulary: dict[str, int] = model["vocab"]
    letters = [_letters()[byte] for byte in range(256)]
    singles = [vocabulary[letter + suffix] for suffix in ("", END_OF_WORD) for letter in letters]
    merges: dict[int, int] = {}
    for rank, merge in enumerate(model["merges"]):
        # One string in files of earlier versions of the library.
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        pair = vocabulary[left] << 32 | vocabulary[right]
        if pair in merges:
            raise ValueError(f"the merge {merge!r} is there twice")
        merges[pair] = rank << 32 | vocabulary[left + right]
    pairs = sorted(merges)
    header = pack("<514I", start, end, *singles)
    return header + pack(f"<{2 * len(pairs)}Q", *pairs, *(merges[pair] for pair in pairs))


def _letters() -> dict[int, str]:
    """The printable character of each byte in a byte-level vocabulary: Latin-1's own, or one above U+00FF (GPT-2)."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted(set(range(256)) - set(own))
    return {byte: chr(byte) for byte in own} | {byte: chr(256 + number) for number, byte in enumerate(others)}


def _texts(vocabulary: Mapping[str, int]) -> Iterator[str]:
    """ASCII texts: every character alone and in pairs, contractions, a sample of the tokens, and random characters."""
    yield from _ASCII
    yield from (first + second for first, second in product(_ASCII, _ASCII))
    yield from (f"a'{first}{second}" for first, second in product("smdtrvleE ", "smdtrvleE "))
    chance = Random(7)  # noqa: S311 - the same texts every time
    words = [token.removesuffix(END_OF_WORD) for token in sorted(vocabulary) if token.isascii()]
    for word in chance.sample(words, min(_TOKENS, len(words))):
        yield f"{word} It's {word.upper()}ing 42{word}"
    for _ in range(_RANDOM_TEXTS):
        yield "".join(chance.choices(_ASCII, k=_RANDOM_LENGTH))
