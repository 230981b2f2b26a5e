"""The language of S3 Vectors' filters: `{"$and": [{"key": {"$startsWith": "2019/"}}, {"labels": {"$in": ["dog"]}}]}`.

As AWS documents it ("Metadata filtering" of S3 Vectors), and as strict as the service was found to be
(https://github.com/FarukAda/aws-langchain-s3-vector-ts, docs/evidence/filter-validation.md): a filter has exactly one
key; a condition is a value, or an object of operators; everything else is "Invalid filter".

AWS documents of lists only that `$eq` holds when any element is equal. Here each comparison of a list holds when it
holds for any element, and `$ne` and `$nin` are the opposites of `$eq` and `$in`; so they also hold where the key is
absent.
"""

import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

Scalar = str | bool | int | float
Metadata = Mapping[str, Scalar | list[str] | list[float]]
Predicate = Callable[[Metadata], bool]
_Test = Callable[[Scalar], bool]

_NUMERIC: dict[str, Callable[[float, float], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_LOGICAL: dict[str, Callable[[Iterable[bool]], bool]] = {"$and": all, "$or": any}


@dataclass(frozen=True)
class Filter:
    """A parsed filter.

    Attributes:
        matches: whether it holds for a vector's metadata.
        constraints: how many values it compares with.
    """

    matches: Predicate
    constraints: int


class InvalidFilterError(ValueError):
    """A filter is malformed; the text is S3 Vectors' own."""


def parse_filter(value: object, non_filterable: Collection[str]) -> Filter:
    """Read a filter.

    Args:
        value: as it came.
        non_filterable: keys that filters cannot use.

    Raises:
        InvalidFilterError: it is malformed, or uses a non-filterable key.
    """
    if not isinstance(value, dict) or len(value) != 1:
        raise _invalid()
    ((key, condition),) = value.items()
    if key in _LOGICAL:
        return _read_logical(_LOGICAL[key], condition, non_filterable)
    if key.startswith("$"):
        raise _invalid()
    if key in non_filterable:
        raise InvalidFilterError("Invalid use of non-filterable metadata in filter")
    return _read_condition(key, condition)


def _read_logical(combine: Callable[[Iterable[bool]], bool], value: object, non_filterable: Collection[str]) -> Filter:
    if not isinstance(value, list) or not value:
        raise _invalid()
    parts = [parse_filter(part, non_filterable) for part in value]
    return Filter(
        lambda metadata: combine(part.matches(metadata) for part in parts), sum(part.constraints for part in parts)
    )


def _read_condition(key: str, condition: object) -> Filter:
    operators = condition if isinstance(condition, dict) else {"$eq": condition}
    if not operators:
        raise _invalid()
    predicates = [_read_operator(key, name, operand) for name, operand in operators.items()]
    constraints = sum(len(operand) if isinstance(operand, list) else 1 for operand in operators.values())
    return Filter(lambda metadata: all(predicate(metadata) for predicate in predicates), constraints)


def _read_operator(key: str, name: str, operand: Any) -> Predicate:  # noqa: ANN401 - checked here
    if name in _NUMERIC:
        return _any_element(key, _compares(_NUMERIC[name], _checked(operand, is_number)))
    if name in {"$eq", "$ne"}:
        equal = _any_element(key, _equals_any([_checked(operand, is_scalar)]))
        return equal if name == "$eq" else _opposite(equal)
    if name in {"$in", "$nin"}:
        equal = _any_element(key, _equals_any(_checked(operand, _is_scalars)))
        return equal if name == "$in" else _opposite(equal)
    if name == "$startsWith":
        prefix: str = _checked(operand, lambda value: isinstance(value, str))
        return _any_element(key, lambda value: isinstance(value, str) and value.startswith(prefix))
    if name == "$exists":
        expected: bool = _checked(operand, lambda value: isinstance(value, bool))
        return lambda metadata: (key in metadata) == expected
    raise _invalid()


def _opposite(predicate: Predicate) -> Predicate:
    return lambda metadata: not predicate(metadata)


def _any_element(key: str, test: _Test) -> Predicate:
    """Whether a test holds for the value of a key, or for any element of it; false where the key is absent."""

    def matches(metadata: Metadata) -> bool:
        value = metadata.get(key)
        if value is None:
            return False
        return any(map(test, value)) if isinstance(value, list) else test(value)

    return matches


def _equals_any(expected: list[Scalar]) -> _Test:
    # A string, a number and a boolean are never equal to one another, while Python's True is 1.
    texts_and_booleans = {value for value in expected if not is_number(value)}
    numbers = {value for value in expected if is_number(value)}
    return lambda value: value in (numbers if is_number(value) else texts_and_booleans)


def _compares(compare: Callable[[float, float], bool], bound: float) -> _Test:
    return lambda value: is_number(value) and compare(value, bound)


def _checked(operand: Any, accepts: Callable[[Any], bool]) -> Any:  # noqa: ANN401 - of the accepted type
    if not accepts(operand):
        raise _invalid()
    return operand


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a number; booleans are not numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_scalar(value: object) -> bool:
    """Whether it is a string, a number or a boolean."""
    return isinstance(value, (str, bool, int, float))


def _is_scalars(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_scalar, value))


def _invalid() -> InvalidFilterError:
    return InvalidFilterError("Invalid filter")
