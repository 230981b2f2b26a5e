"""Fields of a JSON object, each of the kind that it must be; a `ValueError` names the one that is not."""

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

Fields = Mapping[str, Any]

_SHA256 = re.compile("[0-9a-f]{64}")


def whole(fields: Fields, name: str, least: int) -> int:
    """A whole number that is not below `least`."""
    value = fields[name]
    if type(value) is not int or value < least:
        raise ValueError(f"{name} is {_shown(value)}, not a whole number of at least {least}")
    return value


def finite(fields: Fields, name: str) -> float:
    """A number that is neither an infinity nor not-a-number."""
    return _finite(name, fields[name])


def positive(fields: Fields, name: str) -> float:
    """A finite number above 0."""
    return _positive(name, finite(fields, name))


def finites(fields: Fields, name: str, length: int | None = None) -> tuple[float, ...]:
    """A list of finite numbers, `length` of them where that is given."""
    values = fields[name]
    if type(values) is not list or length not in {None, len(values)}:
        raise ValueError(f"{name} is {_shown(values)}, not a list of {'' if length is None else f'{length} '}numbers")
    return tuple(_finite(name, value) for value in values)


def three(fields: Fields, name: str) -> tuple[float, float, float]:
    """Three finite numbers."""
    red, green, blue = finites(fields, name, 3)
    return red, green, blue


def three_positive(fields: Fields, name: str) -> tuple[float, float, float]:
    """Three finite numbers above 0."""
    red, green, blue = (_positive(name, value) for value in three(fields, name))
    return red, green, blue


def word(fields: Fields, name: str) -> str:
    """A text that is not empty."""
    value = fields[name]
    if type(value) is not str or not value:
        raise ValueError(f"{name} is {_shown(value)}, not a text")
    return value


def one_of(fields: Fields, name: str, choices: Collection[str]) -> str:
    """One of some texts."""
    value = fields[name]
    if type(value) is not str or value not in choices:
        raise ValueError(f"{name} is {_shown(value)}, not one of {', '.join(choices)}")
    return value


def sha256(fields: Fields, name: str = "sha256") -> str:
    """64 lower-case hex digits."""
    value = fields[name]
    if type(value) is not str or not _SHA256.fullmatch(value):
        raise ValueError(f"{name} is {_shown(value)}, not a SHA-256 in lower-case hex")
    return value


def _finite(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} holds {_shown(value)}, not a finite number")
    return float(value)


def _positive(name: str, value: float) -> float:
    if value <= 0:
        raise ValueError(f"{name} holds {value}, not a number above 0")
    return value


def _shown(value: object) -> str:
    return repr(value)[:60]
