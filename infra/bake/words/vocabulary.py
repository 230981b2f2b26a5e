"""Rows of the table -> a vocabulary: the labels that an image can get, the classes of each, and the words for it.

Synsets above the same classes would always have the same score, so they share one label. It has the name of the most
specific of them: of "chordate" and "vertebrate" the latter. Synsets of one name share a label, too, since a label is a
text: "crane" is both the bird and the machine.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handler.model.vocabulary import normalize_word
from infra.bake.words.table import Row
from infra.common.errors import OperatorError


@dataclass(frozen=True, slots=True)
class ClassVocabulary:
    """The labels of a classifier.

    Attributes:
        names: of the labels, each once.
        pairs: a label and one of its classes, as indices. The first ones are each class in order and its own label, the
            most specific one that it has.
        words: normalised words, each with the indices of the labels that it finds.
        classes: how many there are.
    """

    names: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    words: Mapping[str, tuple[int, ...]]
    classes: int


def vocabulary_of(rows: Sequence[Row]) -> ClassVocabulary:
    """Make the vocabulary of a table.

    Raises:
        OperatorError: a synset is above no class.
    """
    above = _closures(rows)
    names = _label_names(rows, above)
    index = {name: number for number, name in enumerate(dict.fromkeys(names.values()))}
    numbered = [(row, row.number) for row in rows if row.number is not None]
    own = [(index[names[row.id]], number) for row, number in numbered]
    pairs = {(index[names[name]], number) for row, number in numbered for name in above[row.id]}
    return ClassVocabulary(tuple(index), (*own, *sorted(pairs - set(own))), _words(rows, names, index), len(own))


def _closures(rows: Sequence[Row]) -> dict[str, set[str]]:
    """For each synset its id and those of all synsets above it."""
    direct = {row.id: row.above for row in rows}
    found: dict[str, set[str]] = {}

    def close(name: str) -> set[str]:
        if name not in found:
            found[name] = {name}.union(*(close(above) for above in direct[name]))
        return found[name]

    for row in rows:
        close(row.id)
    return found


def _label_names(rows: Sequence[Row], above: Mapping[str, set[str]]) -> dict[str, str]:
    """The name of each synset's label."""
    classes: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        if row.number is not None:
            for name in above[row.id]:
                classes[name].add(row.number)
    empty = next((row for row in rows if row.id not in classes), None)
    if empty is not None:
        raise OperatorError(f"{empty.words[0]!r} ({empty.id}) in the table of words is above no class")
    label: dict[frozenset[int], str] = {}
    # A synset has more synsets above it than each of those has, so the most specific one of a label comes first.
    for row in sorted(rows, key=lambda row: (row.number is None, -len(above[row.id]), row.id)):
        label.setdefault(frozenset(classes[row.id]), row.words[0])
    return {row.id: label[frozenset(classes[row.id])] for row in rows}


def _words(rows: Sequence[Row], names: Mapping[str, str], index: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        for word in row.words:
            found[normalize_word(word)].add(index[names[row.id]])
    return {word: tuple(sorted(labels)) for word, labels in sorted(found.items())}
