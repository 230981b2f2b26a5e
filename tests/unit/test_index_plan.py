"""What a batch of changes asks of the indexes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.index.names import index_name, vector_key
from handler.index.plan import Plan, plan_of
from handler.index.stream import Change
from handler.results.item import StoredItem
from tests.support.index_divergences import Held, divergences
from tests.support.stored_items import FINGERPRINT, OTHER_FINGERPRINT, Made, item_of

A, B = Made(etag="a"), Made(etag="b", vector=(0, 1, 0))
A_OTHER = replace(A, fingerprint=OTHER_FINGERPRINT)
REJECTED, TOMBSTONE = Made(status="error"), Made(status="deleted", etag=None)
KEY, OWN, OTHER = vector_key(A.source), index_name(FINGERPRINT), index_name(OTHER_FINGERPRINT)


def change(old: Made | None, new: Made | None, *, touched: bool = False) -> Change:
    return Change(A.source, item_of(old), item_of(new), touched=touched)


@pytest.mark.parametrize(
    ("old", "new"), [(None, A), (B, A), (REJECTED, A), (TOMBSTONE, A), (replace(A_OTHER, etag="b"), A)]
)
def test_a_new_picture_goes_into_its_index_and_leaves_the_others(old: Made | None, new: Made) -> None:
    plan = plan_of([change(old, new)])
    assert plan == Plan({OWN: [new.item()]}, [], {KEY: OWN}, {})
    assert (plan.deletes_of(OWN), plan.deletes_of(OTHER), plan.needs_indexes) == ([], [KEY], True)


@pytest.mark.parametrize("old", [A, A_OTHER])
def test_the_same_picture_stays_in_other_indexes(old: Made) -> None:
    plan = plan_of([change(old, A)])
    assert plan == Plan({OWN: [A.item()]}, [], {}, {})
    assert not plan.needs_indexes


def test_the_other_indexes_are_compared_with_a_touched_item() -> None:
    plan = plan_of([change(A, A, touched=True)])
    assert plan == Plan({OWN: [A.item()]}, [], {}, {KEY: A.item()})
    assert (plan.checks_of(OWN), plan.checks_of(OTHER), plan.needs_indexes) == ({}, {KEY: "a"}, True)


@pytest.mark.parametrize("new", [None, REJECTED, TOMBSTONE, Made(fingerprint=""), Made(vector=())])
@pytest.mark.parametrize("touched", [False, True])
def test_without_a_vector_the_key_leaves_every_index(new: Made | None, touched: bool) -> None:
    plan = plan_of([change(A, new, touched=touched)])
    assert plan == Plan({}, [KEY], {}, {})
    assert plan.deletes_of(OWN) == plan.deletes_of(OTHER) == [KEY]


def test_the_last_change_of_a_key_decides_beside_what_was_before_the_first() -> None:
    assert plan_of([change(A, B), change(B, TOMBSTONE)]) == plan_of([change(A, TOMBSTONE)])
    assert plan_of([change(A, None), change(None, B)]) == plan_of([change(A, B)])
    assert plan_of([change(A, B), change(B, A)]) == plan_of([change(A, A)])
    assert plan_of([change(A, A, touched=True), change(A, A_OTHER)]) == plan_of([change(A, A_OTHER, touched=True)])


def test_keys_do_not_affect_each_other() -> None:
    other = Made("s3://uploads/b.jpg")
    plan = plan_of([change(A, None), Change(other.source, None, other.item()), change(None, B)])
    assert plan.puts == {OWN: [B.item(), other.item()]}
    assert plan.deletes_elsewhere == {KEY: OWN, vector_key(other.source): OWN}


# Any sequence of changes.

ITEMS = [None, REJECTED, TOMBSTONE] + [
    Made(etag=etag, fingerprint=fingerprint, vector=vector)
    for fingerprint in (FINGERPRINT, OTHER_FINGERPRINT)
    for etag, vector in (("a", (1.0, 0.0)), ("b", (0.0, 1.0)))
]
steps = st.lists(
    st.tuples(st.sampled_from(["s3://uploads/1", "s3://uploads/2"]), st.sampled_from([*ITEMS, "touch"])), max_size=14
)
cuts = st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["once", "twice", "whole, then in halves"])), max_size=14)


def apply(plan: Plan, indexes: dict[str, dict[str, Held]]) -> None:
    """What the writer does, without its calls."""
    for name, vectors in indexes.items():
        outdated = [key for key, etag in plan.checks_of(name).items() if key in vectors and vectors[key].etag != etag]
        for key in plan.deletes_of(name) + outdated:
            vectors.pop(key, None)
    for name, items in plan.puts.items():
        indexes.setdefault(name, {}).update(
            {vector_key(item.source): Held(item.etag, item.embedding or b"") for item in items}
        )


def changes_of(steps: list[tuple[str, Made | str | None]]) -> tuple[list[Change], dict[str, StoredItem]]:
    """The changes that the stream has, and the table after them."""
    table: dict[str, StoredItem] = {}
    changes = []
    for source, wanted in steps:
        old = table.get(source)
        if isinstance(wanted, str):
            if old is None:
                continue  # a touch is conditional on the item's existence
            new: StoredItem | None = old
        else:
            new = None if wanted is None else replace(wanted, source=source).item()
            if old == new:
                continue  # no record
        changes.append(Change(source, old, new, touched=isinstance(wanted, str)))
        table.pop(source, None)
        if new is not None:
            table[source] = new
    return changes, table


@given(steps, cuts)
def test_any_changes_in_any_batches_with_repeats_end_at_what_the_table_says(
    steps: list[tuple[str, Made | str | None]], cuts: list[tuple[int, str]]
) -> None:
    changes, table = changes_of(steps)
    indexes: dict[str, dict[str, Held]] = {}
    for size, how in [*cuts, (len(changes) + 1, "once")]:
        batch, changes = changes[:size], changes[size:]
        parts = [batch]
        if how == "twice":
            parts = [batch, batch]
        elif how != "once":  # Lambda halves a batch that failed after all or some of its calls
            parts = [batch, batch[: size // 2], batch[size // 2 :]]
        for part in parts:
            apply(plan_of(part), indexes)
    assert list(divergences(table, indexes)) == []


@given(steps, st.sets(st.integers(0, 13)))
def test_after_changes_were_given_up_a_touch_of_their_items_mends_the_indexes(
    steps: list[tuple[str, Made | str | None]], lost: set[int]
) -> None:
    changes, table = changes_of(steps)
    indexes: dict[str, dict[str, Held]] = {}
    for number, each in enumerate(changes):
        if number not in lost:
            apply(plan_of([each]), indexes)
    for source, item in table.items():
        apply(plan_of([Change(source, item, item, touched=True)]), indexes)
    gone = {source for source, _ in steps} - table.keys()
    for source in gone:  # the tombstone that `index rebuild` and `index verify` write, and its removal
        tombstone = replace(TOMBSTONE, source=source).item()
        apply(plan_of([Change(source, None, tombstone), Change(source, tombstone, None)]), indexes)
    assert list(divergences(table, indexes)) == []
