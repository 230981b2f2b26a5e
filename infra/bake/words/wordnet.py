"""WordNet's database -> the words for the classes of an image classifier, as rows of a table.

ImageNet names its classes by WordNet's noun synsets: `n02123045` is the synset at offset 02123045 of WordNet 3.0's
`data.noun`. The format of the two files that are read, `data.noun` and `index.noun`, is in WordNet's manual, wndb(5WN)
(https://wordnet.princeton.edu/documentation/wndb5wn).

Not everything above a class is a word that somebody would search images for, and not every word of a synset makes one
think of it: WordNet has "entity" above everything, and "wind" as another word for "wind instrument". So:

- A synset above the classes counts if WordNet files it under animals, artifacts, food, natural objects or plants,
  or if it heads one of these files and is not too general ("animal" counts, "object" does not). People do not count:
  ImageNet has three classes of them, so most images of a person would not be found under "person".
- The name of a synset, its first word, always counts; another word only if the synset is among the first three
  meanings that WordNet, which sorts them by frequency, lists for the word.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.bake.words.table import Row
from infra.common.errors import OperatorError

# Lexicographer files of things that can be seen in an image, lexnames(5WN): noun.animal, noun.artifact, noun.food,
# noun.object, noun.plant.
_VISIBLE_FILES = frozenset({5, 6, 13, 17, 20})
# noun.Tops holds the synsets that head the other files.
_TOPS = 3
_HEADS = frozenset({"animal", "food", "plant"})

_MOST_MEANINGS = 3
_HYPERNYMS = frozenset({"@", "@i"})


@dataclass(frozen=True, slots=True)
class Synset:
    """A set of nouns with one meaning.

    Attributes:
        file: the number of its lexicographer file.
        words: as WordNet writes them, with `_` for a space; the first one names the synset.
        above: the ids of its hypernyms.
    """

    file: int
    words: tuple[str, ...]
    above: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WordNet:
    """WordNet's nouns.

    Attributes:
        synsets: by id, such as `n02123045`.
        meanings: the ids of a word's synsets, the most frequent one first; by the word in lower case.
    """

    synsets: Mapping[str, Synset]
    meanings: Mapping[str, tuple[str, ...]]


def read_wordnet(folder: Path) -> WordNet:
    """Read WordNet's nouns.

    Args:
        folder: holds `data.noun` and `index.noun`; Debian's package `wordnet-base` puts them into /usr/share/wordnet.

    Raises:
        OperatorError: a file cannot be read, or is not WordNet's.
    """
    try:
        synsets = dict(_synset(line) for line in _entries(folder / "data.noun"))
        meanings = dict(_meanings(line) for line in _entries(folder / "index.noun"))
    except OSError as error:
        raise OperatorError(f"cannot read WordNet's database: {error.filename}: {error.strerror}") from None
    except (ValueError, IndexError) as error:
        raise OperatorError(f"{folder} does not hold WordNet's database ({error})") from None
    return WordNet(synsets, meanings)


def rows_of(wordnet: WordNet, classes: Sequence[str]) -> list[Row]:
    """The rows for some classes and for every synset above them that counts.

    Args:
        wordnet: the database.
        classes: the ids of the classes, in the classifier's order.

    Returns:
        The classes in their order, then the others by id.

    Raises:
        OperatorError: a class is not in the database.
    """
    missing = [name for name in classes if name not in wordnet.synsets]
    if missing:
        raise OperatorError(f"WordNet has no synset {missing[0]}: the ids of ImageNet are those of WordNet 3.0")
    numbers = {name: number for number, name in enumerate(classes)}
    above = sorted(_closure(wordnet, classes) - numbers.keys())
    kept = dict.fromkeys([*classes, *(name for name in above if _counts(wordnet.synsets[name]))])
    return [
        Row(
            name,
            numbers.get(name),
            above=tuple(dict.fromkeys(_nearest_above(wordnet, name, kept))),
            words=_words(wordnet, name),
        )
        for name in kept
    ]


def _entries(path: Path) -> Iterator[str]:
    with path.open(encoding="ascii") as file:
        yield from (line for line in file if not line.startswith(" "))  # the licence comes first, indented


def _synset(line: str) -> tuple[str, Synset]:
    fields = line.partition("|")[0].split()
    words = int(fields[3], 16)
    first = 4 + 2 * words
    starts = range(first + 1, first + 1 + 4 * int(fields[first]), 4)
    above = tuple(f"n{fields[at + 1]}" for at in starts if fields[at] in _HYPERNYMS)
    return f"n{fields[0]}", Synset(int(fields[1]), tuple(fields[4:first:2]), above)


def _meanings(line: str) -> tuple[str, tuple[str, ...]]:
    fields = line.split()
    return fields[0], tuple(f"n{offset}" for offset in fields[-int(fields[2]) :])


def _closure(wordnet: WordNet, names: Iterable[str]) -> set[str]:
    """Some synsets and all that are above them."""
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += wordnet.synsets[name].above
    return found


def _counts(synset: Synset) -> bool:
    return synset.file in _VISIBLE_FILES or (synset.file == _TOPS and synset.words[0] in _HEADS)


def _words(wordnet: WordNet, name: str) -> tuple[str, ...]:
    first, *others = wordnet.synsets[name].words
    kept = [word for word in others if name in wordnet.meanings[word.lower()][:_MOST_MEANINGS]]
    return tuple(dict.fromkeys(word.replace("_", " ") for word in [first, *kept]))


def _nearest_above(wordnet: WordNet, name: str, kept: Mapping[str, object]) -> Iterator[str]:
    """The nearest synsets above one that are kept."""
    for above in wordnet.synsets[name].above:
        if above in kept:
            yield above
        else:
            yield from _nearest_above(wordnet, above, kept)
