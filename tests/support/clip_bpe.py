"""A reference implementation of CLIP's byte-pair encoding, to compare with `handler.model.text`.

Byte pairs: Sennrich et al., https://arxiv.org/abs/1508.07909; over bytes, with a letter for each byte, as in GPT-2; the
splitting, the cleaning and the order of the vocabulary are CLIP's (https://github.com/openai/CLIP,
simple_tokenizer.py). It is slow, and uses neither `tokenizers` nor regular expressions.

CLIP's original code first repairs scraped text with ftfy (mojibake, curly quotes, full-width letters) and resolves HTML
entities; `tokenizer.json` does not, so this module does not either. Characters that this Python's Unicode version does
not know cannot be compared. A capital sigma at the end of a word is lower-cased to the final sigma here, and to the
ordinary sigma by `tokenizers`.
"""

import gzip
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from infra.common.paths import CACHE
from infra.common.wheels import fetch

WHEEL = "open-clip-torch==3.3.0"  # downloaded for one file, never installed
MEMBER = "open_clip/bpe_simple_vocab_16e6.txt.gz"
SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"

VOCABULARY_SIZE = 49_408
START, END = VOCABULARY_SIZE - 2, VOCABULARY_SIZE - 1
MERGES = VOCABULARY_SIZE - 2 - 2 * 256
LAST = "</w>"  # marks a symbol that ends a word
CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")

Pair = tuple[str, str]


@cache
def merges() -> tuple[Pair, ...]:
    """CLIP's merges, in order of priority."""
    (path,) = fetch(WHEEL, {MEMBER: SHA256}, CACHE / "clip-vocabulary")
    _version, *lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    pairs = (line.split(" ") for line in lines[:MERGES])
    return tuple((left, right) for left, right in pairs)


@cache
def letters() -> dict[int, str]:
    """A printable character for each byte, in the order of the vocabulary: Latin-1's if it is printable."""
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in own]
    return {byte: chr(byte) for byte in own} | {byte: chr(256 + index) for index, byte in enumerate(others)}


@cache
def vocabulary() -> dict[str, int]:
    """Symbols to ids, without the start and the end token."""
    single = list(letters().values())
    symbols = [*single, *(letter + LAST for letter in single), *(left + right for left, right in merges())]
    return {symbol: index for index, symbol in enumerate(symbols)}


@cache
def ranks() -> dict[Pair, int]:
    return {pair: rank for rank, pair in enumerate(merges())}


def encode(text: str, context_length: int, pad: int = 0) -> list[int]:
    """The ids of a text: start, byte pairs, end, padding; truncated if too long, with the end token last."""
    ids = [START, *(vocabulary()[symbol] for word in words(clean(text)) for symbol in symbols(word)), END]
    if len(ids) > context_length:
        ids = [*ids[: context_length - 1], END]
    return ids + [pad] * (context_length - len(ids))


def clean(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split()).lower()


def words(text: str) -> Iterator[str]:
    """Contractions, runs of letters, single numerals, and runs of other characters except white space."""
    at = 0
    while at < len(text):
        end = at + 1
        contraction = next((tail for tail in CONTRACTIONS if text.startswith(tail, at)), None)
        kind = _kind(text[at])
        if contraction:
            end = at + len(contraction)
        elif kind in "L*":
            while end < len(text) and _kind(text[end]) == kind:
                end += 1
        if kind != " ":
            yield text[at:end]
        at = end


def _kind(character: str) -> str:
    if character.isspace():
        return " "
    group = unicodedata.category(character)[0]
    return group if group in "LN" else "*"


def symbols(word: str) -> list[str]:
    """Merge a word's bytes: repeatedly merge all occurrences of the pair with the highest priority."""
    parts = [letters()[byte] for byte in word.encode("utf-8")]
    parts[-1] += LAST
    while len(parts) > 1:
        best = min(pairwise(parts), key=lambda pair: ranks().get(pair, MERGES))
        if best not in ranks():
            break
        parts = _merged(parts, best)
    return parts


def _merged(parts: list[str], pair: Pair) -> list[str]:
    done: list[str] = []
    at = 0
    while at < len(parts):
        both = tuple(parts[at : at + 2]) == pair
        done.append("".join(pair) if both else parts[at])
        at += 2 if both else 1
    return done
