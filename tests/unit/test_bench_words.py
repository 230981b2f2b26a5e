"""The measure of how well words find photos."""

import pytest

from handler.model.vocabulary import Vocabulary
from infra.bake.words.table import read_table
from infra.bake.words.vocabulary import vocabulary_of
from tests.bench.words import CLASSES, TABLE, Score, Truth, failures, score, truth_of

VOCABULARY = Vocabulary(("cat", "tabby", "plane", "airliner"), {"cat": (0,), "plane": (2, 3)})


def measured(right: list[bool], *scores: float | None) -> Score:
    photos = [{} if value is None else {"cat": value} for value in scores]
    return score("cat", photos, VOCABULARY, right)


def test_photos_are_ordered_by_score_and_those_not_found_count() -> None:
    found = measured([True, False, True, True], 0.2, 0.9, 0.6, None)
    # The right ones are second and third of three, and one of them is not found.
    assert found.ap == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert (found.first, found.found, found.hits, found.right) == (2 / 5, 3, 2, 3)
    assert (found.sure, found.sure_hits) == (2, 1)


def test_a_word_of_several_labels_has_the_highest_score() -> None:
    photos = [{"plane": 0.1, "airliner": 0.8}, {"plane": 0.5}, {"airliner": 0.3}]
    found = score("plane", photos, VOCABULARY, [True, False, True])
    assert found.ap == pytest.approx((1 + 2 / 3) / 2)


def test_a_word_that_finds_nothing_scores_nothing() -> None:
    found = measured([True, False], None, None)
    assert (found.ap, found.first, found.found, found.hits, found.sure) == (0, 0, 0, 0, 0)


def test_a_photo_is_right_for_its_name_and_for_what_is_above() -> None:
    truth = Truth(
        ["Leopards", "pigeon"],
        {"Leopards": "leopard", "pigeon": ""},
        {"Leopards": frozenset({"n02129165", "cat"}), "pigeon": frozenset({"bird"})},
        {"leopard": frozenset({"n02129165"}), "true cat": frozenset({"cat"}), "bird": frozenset({"bird"})},
    )
    assert truth.right("leopard") == truth.right("true cat") == [True, False]
    assert truth.right("bird") == [False, True]
    assert truth.right("unknown") == [False, False]


def test_every_class_of_the_photos_is_known() -> None:
    classes = [line.partition(",")[0] for line in CLASSES.read_text("utf-8").splitlines()[1:]]
    rows = read_table(TABLE)
    truth = truth_of(classes, rows)
    assert len(set(classes)) == 99
    words = set(truth.names.values()) - {""}
    assert len(words) == 49
    assert words <= set(vocabulary_of(rows).words)
    birds = {name for name, right in zip(classes, truth.right("bird"), strict=True) if right}
    assert birds == {"emu", "flamingo", "flamingo_head", "ibis", "pigeon", "rooster"}


def good() -> dict[str, dict[str, Score]]:
    fine = measured([True] * 5, *[0.9] * 5)
    return {"class names": {"cat": fine}, "to be found": {"dog": fine}}


def test_what_is_worse_than_promised_is_named() -> None:
    assert failures(good()) == []
    poor = measured([True] * 5, 0.9, None, None, None, None)
    assert failures(good() | {"class names": {"cat": poor}}) == ["mAP is 0.200, below 0.8", "P@5 is 0.200, below 0.92"]
    assert failures(good() | {"to be found": {"dog": poor}}) == ["'dog': P@5 is 0.2"]
