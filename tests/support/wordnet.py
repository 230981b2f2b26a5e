"""A tiny database in WordNet's format, wndb(5WN)."""

from dataclasses import dataclass, field
from pathlib import Path

_LICENCE = "  1 This software and database is being provided to you, the LICENSEE, by  \n"


@dataclass(frozen=True)
class Noun:
    """A noun synset: its number, lexicographer file, words with `_` for spaces, and the numbers of its hypernyms."""

    number: int
    file: int
    words: tuple[str, ...]
    above: tuple[int, ...] = ()
    instance_of: tuple[int, ...] = ()
    others: tuple[tuple[str, int], ...] = field(default=())  # pointers of other kinds


def write_wordnet(folder: Path, nouns: list[Noun], meanings: dict[str, list[int]] | None = None) -> Path:
    """Write `data.noun` and `index.noun`.

    Args:
        folder: made when absent.
        nouns: the synsets.
        meanings: the numbers of a word's synsets, the most frequent one first; any other word has those that list it.
    """
    folder.mkdir(exist_ok=True)
    (folder / "data.noun").write_text(_LICENCE + "".join(map(_data, nouns)), "ascii")
    found: dict[str, list[int]] = {}
    for noun in nouns:
        for word in noun.words:
            found.setdefault(word.lower(), []).append(noun.number)
    index = [_index(word, numbers) for word, numbers in sorted((found | (meanings or {})).items())]
    (folder / "index.noun").write_text(_LICENCE + "".join(index), "ascii")
    return folder


def _data(noun: Noun) -> str:
    words = " ".join(f"{word} 0" for word in noun.words)
    pointers = [("@", number) for number in noun.above] + [("@i", number) for number in noun.instance_of]
    shown = "".join(f"{symbol} {number:08} n 0000 " for symbol, number in [*pointers, *noun.others])
    count = len(pointers) + len(noun.others)
    return (
        f"{noun.number:08} {noun.file:02} n {len(noun.words):02x} {words} {count:03} {shown}| a gloss @ with marks  \n"
    )


def _index(word: str, numbers: list[int]) -> str:
    offsets = " ".join(f"{number:08}" for number in numbers)
    return f"{word} n {len(numbers)} 2 @ ~ {len(numbers)} 1 {offsets}  \n"
