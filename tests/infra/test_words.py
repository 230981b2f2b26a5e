"""WordNet -> the table of words -> the vocabulary."""

from pathlib import Path

import pytest

from handler.model.vocabulary import normalize_word
from infra.bake.manifest_file import read_manifest
from infra.bake.words.table import Row, read_table, write_table
from infra.bake.words.vocabulary import ClassVocabulary, vocabulary_of
from infra.bake.words.wordnet import WordNet, read_wordnet, rows_of
from infra.common.errors import OperatorError
from infra.common.hashing import file_sha256
from infra.common.paths import MANIFESTS
from tests.support.class_bundles import ROWS
from tests.support.wordnet import Noun, write_wordnet

TOPS, ACT, ANIMAL, ARTIFACT, PERSON = 3, 4, 5, 6, 18

NOUNS = [
    Noun(1, TOPS, ("entity",)),
    Noun(2, TOPS, ("object", "physical_object"), (1,)),
    Noun(3, TOPS, ("animal", "beast"), (2,)),
    Noun(4, ANIMAL, ("cat", "true_cat"), (3,), others=(("~", 5), ("%p", 9))),
    Noun(5, ANIMAL, ("tabby", "tabby_cat", "queen"), (4,)),
    Noun(6, ANIMAL, ("Egyptian_cat",), instance_of=(4,)),
    Noun(7, ACT, ("lifting",), (1,)),
    Noun(8, ARTIFACT, ("device",), (7, 2)),
    Noun(9, ARTIFACT, ("crane",), (8,)),
    Noun(10, PERSON, ("groom",), (11,)),
    Noun(11, PERSON, ("person", "soul"), (2,)),
    Noun(12, ARTIFACT, ("unrelated",), (8,)),
]


@pytest.fixture
def wordnet(tmp_path: Path) -> WordNet:
    return read_wordnet(write_wordnet(tmp_path / "wordnet", NOUNS, {"queen": [20, 21, 22, 5]}))


def words_of(rows: list[Row]) -> dict[str, tuple[str, ...]]:
    return {row.id: row.words for row in rows}


# WordNet's database.


def test_classes_come_first_and_in_their_order(wordnet: WordNet) -> None:
    rows = rows_of(wordnet, ["n00000009", "n00000005"])
    assert [(row.id, row.number) for row in rows[:2]] == [("n00000009", 0), ("n00000005", 1)]
    assert [row.number for row in rows[2:]] == [None] * (len(rows) - 2)


def test_hypernyms_of_things_that_can_be_seen_are_words(wordnet: WordNet) -> None:
    rows = rows_of(wordnet, ["n00000005", "n00000009", "n00000010"])
    assert words_of(rows) == {
        "n00000005": ("tabby", "tabby cat"),
        "n00000009": ("crane",),
        "n00000010": ("groom",),
        "n00000003": ("animal", "beast"),
        "n00000004": ("cat", "true cat"),
        "n00000008": ("device",),
    }, "neither what is too general, nor an act, nor people, nor what is above no class"


def test_instances_have_hypernyms_too(wordnet: WordNet) -> None:
    (row, *_) = rows_of(wordnet, ["n00000006"])
    assert row == Row("n00000006", 0, ("n00000004",), ("Egyptian cat",))


def test_what_is_left_out_is_skipped_on_the_way_up(tmp_path: Path) -> None:
    nouns = [
        Noun(1, ANIMAL, ("top",)),
        Noun(2, ACT, ("between",), (1,)),
        Noun(3, ACT, ("also_between",), (1, 2)),
        Noun(4, ANIMAL, ("class",), (2, 3)),
    ]
    rows = rows_of(read_wordnet(write_wordnet(tmp_path, nouns)), ["n00000004"])
    assert rows == [Row("n00000004", 0, ("n00000001",), ("class",)), Row("n00000001", None, (), ("top",))]


@pytest.mark.parametrize(
    ("meanings", "kept"),
    [([2], True), ([7, 2], True), ([7, 8, 2], True), ([7, 8, 9, 2], False), ([2, 7, 8, 9], True)],
)
def test_another_word_counts_if_it_means_the_synset_often_enough(
    tmp_path: Path, meanings: list[int], *, kept: bool
) -> None:
    nouns = [Noun(1, ANIMAL, ("rare", "other"), (2,)), Noun(2, ANIMAL, ("name", "Word"))]
    wordnet = read_wordnet(write_wordnet(tmp_path, nouns, {"word": meanings, "name": [7, 8, 9, 2]}))
    expected = ("name", "Word") if kept else ("name",)
    assert words_of(rows_of(wordnet, ["n00000001"]))["n00000002"] == expected, "the name always counts"


def test_a_class_that_wordnet_lacks_is_named(wordnet: WordNet) -> None:
    with pytest.raises(OperatorError, match=r"no synset n00000099.*WordNet 3\.0"):
        rows_of(wordnet, ["n00000005", "n00000099"])


@pytest.mark.parametrize("name", ["data.noun", "index.noun"])
def test_a_folder_without_the_database_is_refused(tmp_path: Path, name: str) -> None:
    write_wordnet(tmp_path, NOUNS)
    (tmp_path / name).unlink()
    with pytest.raises(OperatorError, match=f"{name}: No such file"):
        read_wordnet(tmp_path)


@pytest.mark.parametrize("content", ["what is this\n", "00000001 05 n zz cat 0\n"])
def test_another_file_of_that_name_is_refused(tmp_path: Path, content: str) -> None:
    write_wordnet(tmp_path, NOUNS)
    (tmp_path / "data.noun").write_text(content)
    with pytest.raises(OperatorError, match="does not hold WordNet's database"):
        read_wordnet(tmp_path)


# The table.


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    path.write_text(write_table(ROWS, ["A comment.", "", "Another line."]), "utf-8")
    assert read_table(path) == list(ROWS)
    assert path.read_text("utf-8").startswith("# A comment.\n#\n# Another line.\nn1\t0\tn6\ttabby|tabby cat\n")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("n1\t0\t\n", "line 1 is not four columns"),
        ("n1\tx\t\tcat\n", "line 1 is not four columns"),
        ("# fine\nn1\t0\t\tcat|\n", "line 2 lacks an id or a word"),
        ("\t0\t\tcat\n", "line 1 lacks an id or a word"),
        ("n1\t1\t\tcat\n", "does not number its classes"),
        ("n1\t0\t\tcat\nn2\t0\t\tdog\n", "does not number its classes"),
        ("n1\t-\t\tcat\n", "does not number its classes"),
        ("", "does not number its classes"),
        ("n1\t0\tn2\tcat\n", "n1 is below n2, which has no line"),
        ("n1\t0\t\tcat\nn1\t-\t\tdog\n", "two lines"),
        (b"n1\t0\t\tc\xe4t\n", "cannot read"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: str | bytes, says: str) -> None:
    path = tmp_path / "words.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    with pytest.raises(OperatorError) as caught:
        read_table(path)
    assert says in str(caught.value)


def test_an_absent_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="No such file"):
        read_table(tmp_path / "words.tsv")


# The vocabulary.


def labels_of(vocabulary: ClassVocabulary, word: str) -> list[str]:
    return [vocabulary.names[index] for index in vocabulary.words[word]]


def classes_of(vocabulary: ClassVocabulary, word: str) -> set[int]:
    return {number for label, number in vocabulary.pairs if label in vocabulary.words[word]}


def test_each_class_has_a_label_and_each_broader_word_the_classes_below_it() -> None:
    vocabulary = vocabulary_of(ROWS)
    assert vocabulary.classes == 6
    assert [vocabulary.names[label] for label, _ in vocabulary.pairs[:6]] == [
        "tabby",
        "Egyptian cat",
        "pug",
        "crane",
        "crane",
        "radio",
    ]
    assert [number for _, number in vocabulary.pairs[:6]] == list(range(6))
    assert classes_of(vocabulary, "cat") == {0, 1}
    assert classes_of(vocabulary, "animal") == {0, 1, 2, 3}
    assert len(set(vocabulary.pairs)) == len(vocabulary.pairs)


def test_synsets_of_the_same_classes_share_the_label_of_the_most_specific_one() -> None:
    rows = [
        Row("a", 0, ("d",), ("first",)),
        Row("b", 1, ("d",), ("second",)),
        Row("c", None, (), ("top", "summit")),
        Row("d", None, ("c",), ("middle",)),
    ]
    vocabulary = vocabulary_of(rows)
    assert vocabulary.names == ("first", "second", "middle")
    assert labels_of(vocabulary, "summit") == labels_of(vocabulary, "top") == ["middle"]


def test_a_word_of_several_synsets_finds_the_labels_of_all() -> None:
    rows = [Row("a", 0, (), ("airliner", "plane")), Row("b", 1, (), ("plane", "carpenter's plane"))]
    vocabulary = vocabulary_of(rows)
    assert labels_of(vocabulary, "plane") == ["airliner", "plane"]
    assert labels_of(vocabulary, "carpenter's plane") == ["plane"]


def test_words_are_normalised() -> None:
    assert set(vocabulary_of(ROWS).words) == {normalize_word(word) for row in ROWS for word in row.words}
    assert labels_of(vocabulary_of(ROWS), "pug dog") == ["pug"]


def test_a_synset_above_no_class_is_refused() -> None:
    with pytest.raises(OperatorError, match=r"'beast' \(b\).*above no class"):
        vocabulary_of([Row("a", 0, (), ("cat",)), Row("b", None, (), ("beast",))])


# The table that is shipped.


@pytest.fixture(scope="module")
def shipped() -> list[Row]:
    return read_table(MANIFESTS / "imagenet-words.tsv")


@pytest.fixture(scope="module")
def imagenet(shipped: list[Row]) -> ClassVocabulary:
    return vocabulary_of(shipped)


def test_it_has_imagenets_classes(shipped: list[Row], imagenet: ClassVocabulary) -> None:
    classes = [row for row in shipped if row.number is not None]
    assert imagenet.classes == len(classes) == 1000
    # As everywhere that ImageNet's classes are numbered.
    assert {number: classes[number].words[0] for number in (0, 1, 281, 409, 852, 999)} == {
        0: "tench",
        1: "goldfish",
        281: "tabby",
        409: "analog clock",
        852: "tennis ball",
        999: "toilet tissue",
    }
    assert all(len(row.id) == 9 and row.id[0] == "n" and row.id[1:].isdecimal() for row in shipped)


def test_every_word_finds_a_class_and_every_label_is_a_word(imagenet: ClassVocabulary) -> None:
    with_classes = {label for label, _ in imagenet.pairs}
    assert with_classes == set(range(len(imagenet.names)))
    assert all(found and with_classes.issuperset(found) for found in imagenet.words.values())
    assert len(set(imagenet.names)) == len(imagenet.names)
    assert all(label in labels_of(imagenet, normalize_word(label)) for label in imagenet.names)
    assert all(normalize_word(word) == word for word in imagenet.words)


@pytest.mark.parametrize(
    ("word", "classes"), [("dog", 118), ("bird", 59), ("vehicle", 67), ("musical instrument", 26), ("vertebrate", 337)]
)
def test_broader_words_have_the_classes_below_them(imagenet: ClassVocabulary, word: str, classes: int) -> None:
    assert labels_of(imagenet, word) == [word]
    assert len(classes_of(imagenet, word)) == classes


@pytest.mark.parametrize("word", ["cow", "beach", "woman", "person", "tree", "sunset", "entity", "object", "wind"])
def test_what_the_classifier_does_not_know_is_no_word(imagenet: ClassVocabulary, word: str) -> None:
    assert word not in imagenet.words


def test_no_row_says_the_same_twice(shipped: list[Row]) -> None:
    for row in shipped:
        assert len(set(row.words)) == len(row.words)
        assert len(set(row.above)) == len(row.above)
    assert shipped == sorted(shipped, key=lambda row: (row.number is None, row.number or 0, row.id))


def test_the_manifest_pins_it_and_names_the_licence() -> None:
    labels = read_manifest(MANIFESTS / "efficientnet-lite0.toml").labels
    assert labels is not None
    assert file_sha256(MANIFESTS / labels.table) == labels.sha256
    notice = (MANIFESTS / labels.notice).read_text("utf-8")
    assert "WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved." in notice
    assert "shall at all times remain with\nPrinceton University and LICENSEE agrees to preserve same." in notice
    assert labels.notice in (MANIFESTS / labels.table).read_text("utf-8").split("\nn", 1)[0]
