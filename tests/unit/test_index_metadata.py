"""Metadata and vectors of the index, checked against the stand-in's rules."""

import array
import math
import sys
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.index.metadata import MAX_FILTERABLE_BYTES, NON_FILTERABLE, filterable_bytes, metadata_of
from handler.index.names import INDEX_PREFIX, index_name, vector_key
from handler.index.vectors import UnusableVectorError, encode_vector, floats_of, grouped
from handler.results.item import read_item
from infra.local.s3vectors.limits import BODY_BYTES, PUT_VECTORS
from infra.local.s3vectors.metadata import check_metadata, metadata_bytes
from tests.support.stored_items import FINGERPRINT, UPDATED_AT, Made

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def test_an_index_is_named_after_the_fingerprint_and_a_vector_after_its_source() -> None:
    assert index_name(FINGERPRINT) == f"{INDEX_PREFIX}{FINGERPRINT[:32]}" == "dropvec-0123456789abcdef0123456789abcdef"
    assert vector_key("s3://b/k") == "a65db92acac13cb7aabe84c6f0b024e280a78b118e51513ec94f52d0194e5992"


def test_every_attribute_of_the_contract() -> None:
    made = Made("s3://uploads/2019/a b.jpg", labels=[("cat", 0.5), ("animal", 0.25)])
    assert metadata_of(made.item()) == {
        "bucket": "uploads",
        "key": "2019/a b.jpg",
        "format": "jpeg",
        "width": 640,
        "height": 480,
        "bytes": 12345,
        "updated_at": 1795955415,
        "labels": ["cat", "animal"],
        "source": "s3://uploads/2019/a b.jpg",
        "result": "s3://results/uploads/2019/a b.jpg/e1.json",
        "etag": "e1",
        "label_scores": [0.5, 0.25],
    }
    assert UPDATED_AT.startswith("2026-11-29T12:30:15")


@pytest.mark.parametrize("labels", [None, []])
def test_empty_lists_are_left_out(labels: list[tuple[str, float]] | None) -> None:
    assert not {"labels", "label_scores"} & metadata_of(Made(labels=labels).item()).keys()


@given(
    key=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300).filter(
        lambda key: len(key.encode()) <= 1024
    ),
    labels=st.lists(st.tuples(texts.filter(bool), st.floats(-1, 1)), max_size=60),
)
def test_metadata_fits_and_keeps_as_many_labels_as_fit(key: str, labels: list[tuple[str, float]]) -> None:
    made = Made(f"s3://{'b' * 63}/{key}", labels=labels)
    found = metadata_of(made.item())
    check_metadata(found, frozenset(NON_FILTERABLE))
    filterable = {name: value for name, value in found.items() if name not in NON_FILTERABLE}
    assert filterable_bytes(filterable) == metadata_bytes(filterable) <= MAX_FILTERABLE_BYTES
    kept = found.get("labels", [])
    assert list(zip(kept, found.get("label_scores", []), strict=True)) == labels[: len(kept)]
    if len(kept) < len(labels):
        one_more = filterable | {"labels": [*kept, labels[len(kept)][0]]}
        assert metadata_bytes(one_more) > MAX_FILTERABLE_BYTES


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
halves = st.floats(width=16, allow_nan=False, allow_infinity=False)


@given(st.lists(finite, min_size=1, max_size=20))
def test_float32_is_exact(numbers: list[float]) -> None:
    assert floats_of(Made(vector=numbers).item()) == numbers
    encoded = orjson.loads(encode_vector(Made(vector=numbers).item()))["data"]["float32"]
    assert np.array_equal(np.array(encoded, np.float32), np.array(numbers, np.float32))


@given(st.lists(halves, min_size=1, max_size=20))
def test_float16_is_exact(numbers: list[float]) -> None:
    assert floats_of(Made(vector=numbers, dtype="float16").item()) == numbers


def test_bytes_are_swapped_on_a_big_endian_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = array.array("f", [1.5])
    swapped.byteswap()
    monkeypatch.setattr("handler.index.vectors.sys.byteorder", "big" if sys.byteorder == "little" else "little")
    assert floats_of(Made(vector=[1.5]).item()) == (swapped.tolist() if sys.byteorder == "big" else [1.5])


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (Made(vector=[math.inf, 0]), "infinities"),
        (Made(vector=[1, math.nan], dtype="float16"), "infinities"),
        (Made(vector=[math.inf, -math.inf]), "infinities"),
        (Made(vector=[0.5] * 4097), "at most 4096"),
    ],
)
def test_a_vector_that_cannot_be_indexed(made: Made, reason: str) -> None:
    with pytest.raises(UnusableVectorError, match=reason):
        encode_vector(made.item())


@pytest.mark.parametrize(
    "changed", [{"embedding_dim": {"N": "4"}}, {"embedding_dim": {}}, {"embedding": {"B": b"123"}}]
)
def test_bytes_that_are_not_the_numbers_of_the_item(changed: dict[str, Any]) -> None:
    with pytest.raises(UnusableVectorError, match="which is not"):
        floats_of(read_item(Made().wire() | changed))


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [
        (0, 10, []),
        (1, 30 * 1024 * 1024, [1]),
        (500, 10, [500]),
        (501, 10, [500, 1]),
        (3, 9 * 1024 * 1024, [2, 1]),
        (40, 1024 * 1024, [19, 19, 2]),
    ],
)
def test_groups_are_as_large_as_a_call_may_be(count: int, size: int, sizes: list[int]) -> None:
    item, data = Made().item(), b"x" * size
    groups = list(grouped([(item, data)] * count))
    assert [len(group) for group in groups] == sizes
    for group in groups:
        assert len(group) <= PUT_VECTORS[1]
        assert len(group) == 1 or sum(len(data) + 1 for _, data in group) + 4096 <= BODY_BYTES
