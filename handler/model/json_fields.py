"""Read typed fields of a JSON object; an invalid value is a `ValueError` that names the field."""

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

JsonObject = Mapping[str, Any]

_SHA256 = re.compile("[0-9a-f]{64}")


def require_int(fields: JsonObject, name: str, minimum: int) -> int:
    """An integer that is at least `minimum`."""
    value = fields[name]
    if type(value) is not int or value < minimum:
        raise ValueError(f"{name} is {_abbreviated(value)}; expected an integer of at least {minimum}")
    return value


def require_positive(fields: JsonObject, name: str) -> float:
    """A finite number above 0."""
    return _positive(name, _finite(name, fields[name]))


def require_numbers(fields: JsonObject, name: str, length: int | None = None) -> tuple[float, ...]:
    """A list of finite numbers; of `length` numbers, if given."""
    values = fields[name]
    if type(values) is not list or length not in {None, len(values)}:
        count = "" if length is None else f"{length} "
        raise ValueError(f"{name} is {_abbreviated(values)}; expected a list of {count}numbers")
    return tuple(_finite(name, value) for value in values)


def require_triple(fields: JsonObject, name: str) -> tuple[float, float, float]:
    """Three finite numbers."""
    red, green, blue = require_numbers(fields, name, 3)
    return red, green, blue


def require_positive_triple(fields: JsonObject, name: str) -> tuple[float, float, float]:
    """Three finite numbers above 0."""
    red, green, blue = (_positive(name, value) for value in require_triple(fields, name))
    return red, green, blue


def require_text(fields: JsonObject, name: str) -> str:
    """A string that is not empty."""
    value = fields[name]
    if type(value) is not str or not value:
        raise ValueError(f"{name} is {_abbreviated(value)}; expected a string that is not empty")
    return value


def require_choice(fields: JsonObject, name: str, choices: Collection[str]) -> str:
    """One of the given strings."""
    value = fields[name]
    if type(value) is not str or value not in choices:
        raise ValueError(f"{name} is {_abbreviated(value)}; expected {' or '.join(choices)}")
    return value


def require_sha256(fields: JsonObject, name: str = "sha256") -> str:
    """64 lower-case hex digits."""
    value = fields[name]
    if type(value) is not str or not _SHA256.fullmatch(value):
        raise ValueError(f"{name} is {_abbreviated(value)}; expected a SHA-256 in lower-case hex")
    return value


def _finite(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} contains {_abbreviated(value)}; expected a finite number")
    return float(value)


def _positive(name: str, value: float) -> float:
    if value <= 0:
        raise ValueError(f"{name} contains {value}; expected a number above 0")
    return value


def _abbreviated(value: object) -> str:
    return repr(value)[:60]
