"""An index beside a plain dict and plain numpy."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from infra.local.s3vectors.errors import ValidationError
from infra.local.s3vectors.filters import read_filter
from infra.local.s3vectors.index import KeyedVector, Segment, VectorIndex
from infra.local.s3vectors.rows import METRICS, Vector, to_vector

DIMENSION = 3
KEYS = [f"k{number}" for number in range(9)]
NUMBERS = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0])
VECTORS = st.lists(NUMBERS, min_size=DIMENSION, max_size=DIMENSION).filter(any)


def vector(values: Iterable[float]) -> Vector:
    return np.array(list(values), np.float32)


def exact_distances(matrix: Vector, query: Vector, metric: str) -> Any:
    wide, asked = matrix.astype(np.float64), query.astype(np.float64)
    if metric == "euclidean":
        return np.linalg.norm(wide - asked, axis=1)
    return 1 - wide @ asked / np.linalg.norm(wide, axis=1) / np.linalg.norm(asked)


class IndexMachine(RuleBasedStateMachine):
    """Puts, overwrites and deletes in any order."""

    metric = "cosine"

    def __init__(self) -> None:
        super().__init__()
        self.index = VectorIndex(DIMENSION, self.metric)
        self.expected: dict[str, KeyedVector] = {}

    @rule(keys=st.lists(st.sampled_from(KEYS), max_size=4), values=VECTORS, number=st.integers(0, 3))
    def put(self, keys: list[str], values: list[float], number: int) -> None:
        records = [KeyedVector(key, vector(values) * (at + 1), {"n": number}) for at, key in enumerate(keys)]
        self.index.put(records)
        self.expected.update({record.key: record for record in records})

    @rule(keys=st.lists(st.sampled_from(KEYS), max_size=4))
    def delete(self, keys: list[str]) -> None:
        self.index.delete(keys)
        for key in keys:
            self.expected.pop(key, None)

    @rule(query=VECTORS, top=st.integers(1, len(KEYS) + 1), number=st.integers(0, 3) | st.none())
    def query(self, query: list[float], top: int, number: int | None) -> None:
        narrowed = None if number is None else read_filter({"n": number}, frozenset())
        hits = self.index.query(vector(query), top, narrowed)
        kept = [one for one in self.expected.values() if number in (None, one.metadata["n"])]
        assert len(hits) == min(top, len(kept))
        if not kept:
            return
        exact = exact_distances(np.stack([one.vector for one in kept]), vector(query), self.metric)
        by_key = dict(zip([one.key for one in kept], exact, strict=True))
        assert [hit.distance for hit in hits] == pytest.approx(np.sort(exact)[:top], abs=1e-6)
        assert [hit.distance for hit in hits] == pytest.approx([by_key[hit.key] for hit in hits], abs=1e-6)
        assert [hit.metadata for hit in hits] == [self.expected[hit.key].metadata for hit in hits]

    @rule(size=st.integers(1, 4), segments=st.integers(1, 3))
    def list_all(self, size: int, segments: int) -> None:
        listed = []
        for position in range(segments):
            after = None
            while True:
                page = self.index.page(size, after, Segment(position, segments))
                assert len(page.records) <= size
                listed += [record.key for record in page.records]
                if page.after is None:
                    break
                after = page.after
        assert sorted(listed) == sorted(self.expected)

    @invariant()
    def holds_what_was_put(self) -> None:
        assert len(self.index) == len(self.expected)
        found = self.index.get(KEYS)
        assert [record.key for record in found] == sorted(self.expected)
        for record in found:
            assert np.array_equal(record.vector, self.expected[record.key].vector)
            assert record.metadata == self.expected[record.key].metadata


class EuclideanIndexMachine(IndexMachine):
    metric = "euclidean"


TestIndex = IndexMachine.TestCase
TestIndex.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestEuclideanIndex = EuclideanIndexMachine.TestCase
TestEuclideanIndex.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)


def put_random(index: VectorIndex, count: int) -> Vector:
    matrix = np.random.default_rng(5).standard_normal((count, index.dimension)).astype(np.float32)
    index.put(KeyedVector(f"k{row:05}", matrix[row], {"n": row}) for row in range(count))
    return matrix


@pytest.mark.parametrize("metric", METRICS)
def test_the_nearest_of_many_are_those_of_plain_numpy(metric: str) -> None:
    index = VectorIndex(64, metric)
    matrix = put_random(index, 3000)
    index.delete(f"k{row:05}" for row in range(0, 3000, 7))
    kept = np.array([row for row in range(3000) if row % 7])
    for query in np.random.default_rng(6).standard_normal((20, 64)).astype(np.float32):
        exact = exact_distances(matrix[kept], query, metric)
        nearest = kept[np.argsort(exact)[:10]]
        hits = index.query(query, 10)
        assert [hit.key for hit in hits] == [f"k{row:05}" for row in nearest]
        assert [hit.distance for hit in hits] == pytest.approx(np.sort(exact)[:10], abs=1e-5)


def test_cosine_distances_are_those_of_the_service() -> None:
    index = VectorIndex(4, "cosine")
    rows = {"same": [1, 0, 0, 0], "scaled": [5, 0, 0, 0], "orth": [0, 1, 0, 0], "opp": [-1, 0, 0, 0]}
    index.put(KeyedVector(key, vector(values), {}) for key, values in rows.items())
    hits = index.query(vector([1, 0, 0, 0]), 10)
    assert [hit.key for hit in hits] == ["same", "scaled", "orth", "opp"]
    assert [float(hit.distance) for hit in hits] == [0, 0, 1, 2]


def test_of_equal_distances_the_first_keys_are_returned() -> None:
    index = VectorIndex(2, "cosine")
    index.put(KeyedVector(key, vector([1, 1]), {}) for key in reversed(KEYS))
    assert [hit.key for hit in index.query(vector([1, 0]), 3)] == KEYS[:3]


def test_an_empty_index_has_no_nearest() -> None:
    assert VectorIndex(2, "cosine").query(vector([1, 0]), 3) == []


def test_a_page_ends_at_1_mb() -> None:
    index = VectorIndex(4096, "cosine")
    put_random(index, 100)
    sizes, after = [], None
    while True:
        page = index.page(1000, after)
        sizes.append(len(page.records))
        if page.after is None:
            break
        after = page.after
    assert sizes == [63, 37]  # of 16,410 bytes each


def test_a_vector_larger_than_a_page_is_a_page() -> None:
    index = VectorIndex(4096, "cosine")
    index.put(KeyedVector(key, np.ones(4096, np.float32), {"x": "y" * 2**20}) for key in KEYS[:2])
    page = index.page(1000)
    assert [record.key for record in page.records] == KEYS[:1]
    assert [record.key for record in index.page(1000, page.after).records] == KEYS[1:2]


def test_what_changes_between_pages_is_seen_once_at_most() -> None:
    index = VectorIndex(2, "cosine")
    index.put(KeyedVector(key, vector([1, 1]), {}) for key in KEYS)
    first = index.page(3)
    index.delete([KEYS[1], KEYS[4]])
    index.put([KeyedVector(KEYS[5], vector([2, 2]), {}), KeyedVector("new", vector([1, 1]), {})])
    rest = index.page(100, first.after)
    assert [record.key for record in first.records + rest.records] == [*KEYS[:4], *KEYS[5:], "new"]


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([3.4028235e38, 0, 0], [3.4028235e38, 0, 0]),
        ([1.5e-45, 0, 0], [1.401298464324817e-45, 0, 0]),
        ([0.1, 1e-46, 0], [np.float32(0.1), 0, 0]),
    ],
)
def test_numbers_become_float32(values: list[float], stored: list[float]) -> None:
    assert np.array_equal(to_vector(values, 3, "cosine"), np.array(stored, np.float32))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2], "vector must have length 3, but has length 2"),
        ([1e39, 1, 1], "vector contains NaNs or Infs"),
        ([3.40282357e38, 1, 1], "vector contains NaNs or Infs"),
        ([0, 0, 0], "cosine distance does not support vectors with zero norm"),
        ([1e-46, 0, 0], "cosine distance does not support vectors with zero norm"),
        ([1, 2, "3"], "vector contains values that are not numbers"),
        ([1, 2, True], "vector contains values that are not numbers"),
        ([1, 2, None], "vector contains values that are not numbers"),
    ],
)
def test_vectors_that_are_refused(values: list[Any], message: str) -> None:
    with pytest.raises(ValidationError) as raised:
        to_vector(values, 3, "cosine")
    assert raised.value.message == message


def test_zero_vectors_have_euclidean_distances() -> None:
    assert not to_vector([0, 0, 0], 3, "euclidean").any()


def test_the_largest_and_the_smallest_numbers_have_a_direction() -> None:
    index = VectorIndex(2, "cosine")
    index.put([KeyedVector("large", vector([3e38, 3e38]), {}), KeyedVector("small", vector([1e-45, 0]), {})])
    hits = index.query(vector([2e38, 2e38]), 2)
    assert [hit.key for hit in hits] == ["large", "small"]
    assert [hit.distance for hit in hits] == pytest.approx([0, 1 - np.sqrt(0.5)], abs=1e-6)
    assert index.get(["large"])[0].vector.tolist() == vector([3e38, 3e38]).tolist()
