"""The metadata of vectors: values, and the size that the service counts."""

from typing import Any

import pytest

from infra.local.s3vectors.errors import ValidationError
from infra.local.s3vectors.metadata import check_metadata

HIDDEN = frozenset({"bulk"})


def refusal(metadata: object) -> str:
    with pytest.raises(ValidationError) as raised:
        check_metadata(metadata, HIDDEN)
    return raised.value.message


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"a": "", "b": 0, "c": -1.5, "d": False, "e": ["x", "x"], "f": [1, 2.5], "g": [""]},
        {"": "x", "$eq": "x", "a.b": "x", "k" * 1024: "x"},
        {f"k{number}": 1 for number in range(50)},
    ],
)
def test_metadata_that_is_taken(metadata: dict[str, Any]) -> None:
    assert check_metadata(metadata, HIDDEN) == metadata


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "Metadata values must be strings, numbers, booleans, or arrays"),
        ({"a": 1}, "Metadata values must be strings, numbers, booleans, or arrays"),
        ([], "Empty arrays are not allowed in metadata"),
        ([True], "Metadata array values must be strings or numbers"),
        ([1, "a"], "Metadata array values must be strings or numbers"),
        ([None], "Metadata array values must be strings or numbers"),
        ([["a"]], "Metadata array values must be strings or numbers"),
    ],
)
def test_values_that_are_refused(value: object, message: str) -> None:
    assert refusal({"a": value}) == message
    assert refusal({"bulk": value}) == message


def test_what_is_no_object_is_refused() -> None:
    assert refusal(["a"]) == "Metadata must be an object"


def test_at_most_50_keys() -> None:
    assert refusal({f"k{number}": 1 for number in range(51)}) == "Metadata object must have at most 50 keys"


# The longest text that the service takes beside other entries; infra/local/s3vectors/metadata.py names the source.
@pytest.mark.parametrize(
    ("text", "longest", "others"),
    [
        ("x", 2035, {}),
        ("é", 1017, {}),
        ("中", 678, {}),
        ("\n", 2035, {}),
        ("x", 1807, {f"k{number:02}": "y" for number in range(19)}),
        ("x", 1895, {f"n{number}": 0.1234567890123456 for number in range(10)}),
        ("x", 1935, {f"b{number}": True for number in range(10)}),
        ("x", 1626, {"a": [1.5] * 50}),
        ("x", 1726, {"s": ["ab"] * 50}),
        ("x", 1826, {"s": ["中中"] * 20}),
        ("x", 1986, {"p": "", "q": "", "r": [1], "s": ["z"]}),
    ],
)
def test_the_filterable_size_is_counted_as_measured(text: str, longest: int, others: dict[str, Any]) -> None:
    check_metadata({"f": text * longest, **others}, HIDDEN)
    message = refusal({"f": text * (longest + 1), **others})
    assert message == "Filterable metadata must have at most 2048 bytes"


@pytest.mark.parametrize(("longest", "others"), [(40944, {}), (40584, {f"k{number:02}": "v" for number in range(30)})])
def test_the_whole_size_is_counted_as_measured(longest: int, others: dict[str, Any]) -> None:
    check_metadata({"bulk": "x" * longest, **others}, HIDDEN)
    message = refusal({"bulk": "x" * (longest + 1), **others})
    assert message == "Metadata object must have at most 40960 bytes"
