"""How well words find pictures, for a model with a vocabulary: the labels that pictures get, against labelled photos.

python -m tests.bench.words PHOTOS [--model NAME|DIR] [--each]

PHOTOS holds photos of Caltech 101 and `labels.csv` with the columns `path` and `class`. `caltech-words.csv` says which
word of the vocabulary names a class, if any does, and which synsets of its table are the nearest at or above the class.
A photo is right for a word if its class has that name, or is at or below a synset of that word.

A word finds the photos that have one of its labels, ordered by the label's score. AP is the average precision over all
photos that are right, whether the word finds them or not; P@5 the share of right ones among the first five. The command
fails if class names are worse than promised.
"""

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from handler.embed import embed_image
from handler.errors import UnknownWordError
from handler.model.encoder import Encoder, load_encoder
from handler.model.labels import Labels as BundleLabels
from handler.model.vocabulary import Vocabulary, load_vocabulary, normalize_word
from handler.timing import Stopwatch
from infra.bake.reuse import bundle_for
from infra.bake.words.table import Row, read_table
from infra.common.errors import OperatorError
from infra.common.paths import MANIFESTS
from tests.bench.quality import read_labels

TABLE = MANIFESTS / "imagenet-words.tsv"
CLASSES = Path(__file__).with_name("caltech-words.csv")

# Words that must put five right photos first.
MUST = ("dog", "bird", "vehicle", "musical instrument")
# A broader word is measured if at least so many photos are right for it, two classes' worth.
LEAST_RIGHT = 30
SURE = 0.5
# Means over the class names.
PROMISED = {"mAP": 0.80, "P@5": 0.92}
UNKNOWN = ("cow", "beach", "woman", "tree", "sunset", "brain")

Labels = Mapping[str, float]


@dataclass(frozen=True)
class Score:
    """What a word finds.

    Attributes:
        ap: average precision.
        first: the share of right photos among the first five.
        found: photos that it finds.
        hits: right ones among them.
        sure: photos that it finds with a score of at least `SURE`.
        sure_hits: right ones among them.
        right: all photos that are right.
    """

    ap: float
    first: float
    found: int
    hits: int
    sure: int
    sure_hits: int
    right: int


@dataclass(frozen=True)
class Truth:
    """Which photos are right for a word.

    Attributes:
        classes: of the photos.
        names: each class's word; empty if the vocabulary has none.
        at_or_above: the ids of each class's synsets in the table and of all above them.
        synsets: the ids of each word's synsets.
    """

    classes: Sequence[str]
    names: Mapping[str, str]
    at_or_above: Mapping[str, frozenset[str]]
    synsets: Mapping[str, frozenset[str]]

    def right(self, word: str) -> list[bool]:
        """For each photo."""
        synsets = self.synsets.get(word, frozenset())
        classes = {name for name, ids in self.at_or_above.items() if self.names[name] == word or ids & synsets}
        return [name in classes for name in self.classes]


def truth_of(classes: Sequence[str], rows: Sequence[Row]) -> Truth:
    """The truth about photos of some of Caltech's classes."""
    table = {row.id: row for row in rows}

    def closure(ids: Sequence[str]) -> Iterator[str]:
        for name in ids:
            yield name
            yield from closure(table[name].above)

    with CLASSES.open(encoding="utf-8", newline="") as file:
        known = {entry["class"]: entry for entry in csv.DictReader(file)}
    synsets: dict[str, set[str]] = {}
    for row in rows:
        for word in row.words:
            synsets.setdefault(normalize_word(word), set()).add(row.id)
    return Truth(
        classes,
        {name: known[name]["word"] for name in classes},
        {name: frozenset(closure(known[name]["synsets"].split())) for name in classes},
        {word: frozenset(ids) for word, ids in synsets.items()},
    )


def label(files: Sequence[Path], encoder: Encoder, labels: BundleLabels) -> tuple[list[Labels], float]:
    """The labels of each photo, as the function makes them, and the milliseconds of processor time for one."""
    found: list[Labels] = []
    watch = Stopwatch(time.process_time)
    for file in track(files, "labelling"):
        vector = embed_image(encoder, file.read_bytes(), 10**8, Stopwatch()).vector
        watch.lap("embed")
        made = labels.top(vector)
        watch.lap("labels")
        found.append({label.name: label.score for label in made})
    return found, watch.read()["labels"] / len(files)


def score(word: str, photos: Sequence[Labels], vocabulary: Vocabulary, right: Sequence[bool]) -> Score:
    """How well a word finds its photos."""
    wanted = vocabulary.labels_of(word)
    scores = [max((labels[name] for name in wanted if name in labels), default=None) for labels in photos]
    order = sorted((-value, number) for number, value in enumerate(scores) if value is not None)
    hits = np.array([right[number] for _, number in order], dtype=bool)
    sure = int(sum(-value >= SURE for value, _ in order))
    precisions = np.cumsum(hits)[hits] / (np.flatnonzero(hits) + 1)
    return Score(
        ap=float(precisions.sum()) / sum(right),
        first=float(hits[:5].sum()) / 5,
        found=len(hits),
        hits=int(hits.sum()),
        sure=sure,
        sure_hits=int(hits[:sure].sum()),
        right=sum(right),
    )


def table_of(groups: Mapping[str, Sequence[Score]]) -> Table:
    """Means over words of AP and P@5, precision and recall over photos, a line a group of words."""
    made = Table()
    sure = f"at {SURE:g}"
    for column in ("words", "number", "mAP", "P@5", "precision", "recall", f"precision {sure}", f"recall {sure}"):
        made.add_column(column, justify="left" if column == "words" else "right")
    for name, scores in groups.items():
        found, hits = sum(s.found for s in scores), sum(s.hits for s in scores)
        confident, right = sum(s.sure for s in scores), sum(s.right for s in scores)
        confident_hits = sum(s.sure_hits for s in scores)
        ratios = (hits / max(1, found), hits / right, confident_hits / max(1, confident), confident_hits / right)
        means = (float(np.mean([s.ap for s in scores])), float(np.mean([s.first for s in scores])))
        made.add_row(name, str(len(scores)), *(f"{value:.3f}" for value in (*means, *ratios)))
    return made


def sizes(photos: Sequence[Labels]) -> str:
    """How many labels photos have, and how many bytes the texts of the labels take."""
    counts = [len(labels) for labels in photos]
    texts = [sum(len(name.encode()) for name in labels) for labels in photos]
    return (
        f"labels a photo: {np.mean(counts):.1f} on average, {max(counts)} at most; "
        f"their texts: {np.mean(texts):.0f} bytes on average, {max(texts)} at most"
    )


def measure(photos: Sequence[Labels], vocabulary: Vocabulary, truth: Truth) -> dict[str, dict[str, Score]]:
    """Groups of words, and how well each word finds its photos."""
    broad = sorted(
        word
        for word in {normalize_word(vocabulary.names[index]) for index in range(len(vocabulary.names))}
        if word not in truth.names.values() and sum(truth.right(word)) >= LEAST_RIGHT
    )
    groups = {"class names": sorted(set(truth.names.values()) - {""}), "broader words": broad, "to be found": MUST}
    return {
        group: {word: score(word, photos, vocabulary, truth.right(word)) for word in words}
        for group, words in groups.items()
    }


def failures(groups: Mapping[str, Mapping[str, Score]]) -> list[str]:
    """What is worse than promised."""
    names = groups["class names"].values()
    means = {"mAP": np.mean([s.ap for s in names]), "P@5": np.mean([s.first for s in names])}
    found = [f"{name} is {means[name]:.3f}, below {least}" for name, least in PROMISED.items() if means[name] < least]
    return found + [f"{word!r}: P@5 is {s.first:.1f}" for word, s in groups["to be found"].items() if s.first < 1]


def refused(vocabulary: Vocabulary, words: Sequence[str]) -> list[str]:
    """The words that the vocabulary does not have."""
    found = []
    for word in words:
        try:
            vocabulary.labels_of(word)
        except UnknownWordError:
            found.append(word)
    return found


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="How well words find pictures.")
    parser.add_argument("photos", type=Path, help="a folder with labels.csv")
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--each", action="store_true", help="also a line for each word")
    parsed = parser.parse_args()
    encoder = load_encoder(bundle_for(parsed.model))
    vocabulary = load_vocabulary(encoder.bundle)
    if vocabulary is None or encoder.labels is None:
        raise OperatorError(f"{parsed.model} has no vocabulary")
    files, classes = read_labels(parsed.photos)
    truth = truth_of(classes, read_table(TABLE))
    photos, took = label(files, encoder, encoder.labels)
    groups = measure(photos, vocabulary, truth)
    console = Console()
    console.print(table_of({name: list(words.values()) for name, words in groups.items()}))
    if parsed.each:
        console.print(table_of({word: [found] for words in groups.values() for word, found in words.items()}))
    console.print(f"{sizes(photos)}; {took:.2f} ms of processor time for a photo")
    console.print(f"not in the vocabulary: {', '.join(refused(vocabulary, UNKNOWN))}")
    wrong = failures(groups)
    if wrong:
        raise OperatorError("; ".join(wrong))


if __name__ == "__main__":
    try:
        main()
    except OperatorError as error:
        sys.exit(str(error))
