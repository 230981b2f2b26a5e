"""Metadata filters: the language that AWS documents, as strict as the service."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.common.vector_filter import Metadata
from infra.local.s3vectors.errors import ValidationError
from infra.local.s3vectors.filters import read_filter

METADATA: Metadata = {
    "s": "2019/a.jpg",
    "n": 3,
    "f": 2.5,
    "yes": True,
    "no": False,
    "tags": ["dog", "cat"],
    "ns": [1.0, 9],
}
HIDDEN = frozenset({"source"})


def matches(value: object) -> bool:
    return read_filter(value, HIDDEN).matches(METADATA)


@pytest.mark.parametrize(
    "value",
    [
        {"s": "2019/a.jpg"},
        {"s": {"$eq": "2019/a.jpg"}},
        {"s": {"$ne": "other"}},
        {"s": {"$startsWith": "2019/"}},
        {"s": {"$in": ["x", "2019/a.jpg"]}},
        {"s": {"$nin": ["x", "y"]}},
        {"s": {"$exists": True}},
        {"n": 3},
        {"n": 3.0},
        {"n": {"$gt": 2.9}},
        {"n": {"$gte": 3, "$lte": 3}},
        {"n": {"$lt": 4}},
        {"n": {"$in": ["3", 3, True]}},
        {"f": {"$eq": 2.5}},
        {"yes": True},
        {"no": {"$ne": True}},
        {"tags": "dog"},
        {"tags": {"$in": ["bird", "cat"]}},
        {"tags": {"$nin": ["bird"]}},
        {"tags": {"$startsWith": "ca"}},
        {"ns": {"$gt": 8}},
        {"absent": {"$exists": False}},
        {"absent": {"$ne": "x"}},
        {"absent": {"$nin": ["x"]}},
        {"$and": [{"s": {"$startsWith": "2019/"}}, {"tags": "dog"}]},
        {"$or": [{"n": 99}, {"$and": [{"n": 3}, {"yes": True}]}]},
    ],
)
def test_a_filter_that_holds(value: object) -> None:
    assert matches(value)


@pytest.mark.parametrize(
    "value",
    [
        {"s": "2019"},
        {"s": {"$ne": "2019/a.jpg"}},
        {"s": {"$startsWith": "/2019"}},
        {"s": {"$in": ["x"]}},
        {"s": {"$nin": ["2019/a.jpg"]}},
        {"s": {"$exists": False}},
        {"s": {"$gt": 1}},
        {"n": "3"},
        {"n": True},
        {"n": {"$gt": 3}},
        {"n": {"$gte": 3, "$lt": 3}},
        {"n": {"$startsWith": "3"}},
        {"yes": 1},
        {"yes": "true"},
        {"yes": {"$gte": 1}},
        {"no": 0},
        {"tags": "bird"},
        {"tags": {"$ne": "dog"}},
        {"tags": {"$nin": ["dog", "bird"]}},
        {"ns": {"$gt": 9}},
        {"absent": "x"},
        {"absent": {"$gt": 0}},
        {"absent": {"$exists": True}},
        {"$and": [{"n": 3}, {"n": 4}]},
        {"$or": [{"n": 4}, {"n": 5}]},
    ],
)
def test_a_filter_that_does_not_hold(value: object) -> None:
    assert not matches(value)


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        "s",
        0,
        {"s": "a", "n": 3},
        {"$and": [{"s": "a"}], "$or": [{"s": "b"}]},
        {"$and": []},
        {"$and": {"s": "a"}},
        {"$and": ["s"]},
        {"$and": [{}]},
        {"$or": [{"s": "a", "n": 1}]},
        {"$nor": [{"s": "a"}]},
        {"s": {}},
        {"s": None},
        {"s": ["a"]},
        {"s": {"x": 1}},
        {"s": {"$eg": "a"}},
        {"s": {"$eq": "a", "x": 1}},
        {"s": {"$and": [{"s": "a"}]}},
        {"s": {"$eq": None}},
        {"s": {"$ne": ["a"]}},
        {"s": {"$in": []}},
        {"s": {"$in": "a"}},
        {"s": {"$in": [None]}},
        {"s": {"$nin": [["a"]]}},
        {"n": {"$gt": "1"}},
        {"n": {"$lte": True}},
        {"s": {"$startsWith": 1}},
        {"s": {"$exists": 1}},
    ],
)
def test_an_invalid_filter(value: object) -> None:
    with pytest.raises(ValidationError, match=r"^Invalid filter$") as raised:
        matches(value)
    assert raised.value.fields[0].path == "filter"


@pytest.mark.parametrize("value", [{"source": "x"}, {"$and": [{"n": 3}, {"source": {"$exists": True}}]}])
def test_a_non_filterable_key_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="Invalid use of non-filterable metadata in filter"):
        matches(value)


@pytest.mark.parametrize(
    ("value", "constraints"),
    [
        ({"category": "electronics"}, 1),
        ({"region": {"$in": ["us-east-1", "us-west-2", "eu-west-1"]}}, 3),
        ({"$and": [{"category": "electronics"}, {"price": {"$lte": 500}}]}, 2),
        ({"price": {"$gte": 10, "$lte": 50}}, 2),
    ],
)
def test_constraints_are_counted_as_documented(value: object, constraints: int) -> None:
    assert read_filter(value, HIDDEN).constraints == constraints


def test_at_most_100_constraints() -> None:
    assert not matches({"n": {"$in": list(range(100, 200))}})
    with pytest.raises(ValidationError, match="at most 100 constraints"):
        matches({"$or": [{"n": {"$in": list(range(100))}}, {"s": "a"}]})


OPERATORS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$startsWith", "$and", "$or"]
KEYS = st.sampled_from([*METADATA, "absent", "source", *OPERATORS])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=8,
)


@given(json_values)
def test_whatever_comes_is_decided_or_refused(value: Any) -> None:
    try:
        decided = matches(value)
    except ValidationError:
        return
    assert isinstance(decided, bool)
