"""The part of JSON Schema 2020-12 that the API's definitions use, as a validator and a reader of texts.

The same schemas are in the OpenAPI document (`handler.api.http.openapi`).
Source: https://json-schema.org/draft/2020-12/json-schema-validation
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import orjson

from handler.errors import RequestError

Schema = Mapping[str, Any]

# As JSON writes them, and not all that Python reads, such as 1_000.
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


def validate(schema: Schema, value: object, name: str) -> None:
    """Check a value.

    Args:
        schema: of the value.
        value: as JSON has it; bytes where the format is `binary`.
        name: of the value, for the error's text.

    Raises:
        RequestError: it does not match; the text says what is expected.
    """
    if "anyOf" in schema:
        _require_any(schema["anyOf"], value, name)
        return
    if "enum" in schema:
        _require(value in schema["enum"], name, value, f"one of {', '.join(map(repr, schema['enum']))}")
    types = schema.get("type")
    if types is not None:
        _require(_is_of(types, value), name, value, _described(schema, _names(types)))
    match value:
        case str() | bytes():
            _check_text(schema, value, name)
        case bool() | None:
            pass
        case int() | float():
            _check_number(schema, value, name)
        case list():
            _check_list(schema, value, name)
        case Mapping():
            _check_object(schema, value, name)


def read_text(schema: Schema, text: str, name: str) -> object:
    """The value of a query parameter or of a form's field, converted to the schema's type and checked.

    Raises:
        RequestError: it does not match.
    """
    value = _converted(schema, text)
    validate(schema, value, name)
    return value


def _converted(schema: Schema, text: str) -> object:
    types = schema.get("type", "string")
    try:
        match types:
            case "boolean":
                return _BOOLEANS[text.lower()]
            case "integer" if _INTEGER.fullmatch(text):
                return int(text)
            case "number" if _NUMBER.fullmatch(text):
                return float(text)
            case "object" | "array":
                return orjson.loads(text)
    except (ValueError, KeyError):
        pass  # the text itself, which has a wrong type
    return text


def _require_any(schemas: Sequence[Schema], value: object, name: str) -> None:
    """Check that a value matches one of several schemas; the error is that of the one which it resembles."""
    likely: RequestError | None = None
    for schema in schemas:
        try:
            validate(schema, value, name)
        except RequestError as error:
            likely = likely or (error if _resembles(schema, value) else None)
        else:
            return
    _require(likely is not None, name, value, " or ".join(map(_kind, schemas)))
    raise likely or AssertionError("unreachable: the line above raises")


def _resembles(schema: Schema, value: object) -> bool:
    """Whether a value has the type of a schema, and as an object the properties that distinguish it."""
    if "type" not in schema or not _is_of(schema["type"], value):
        return False
    return not isinstance(value, Mapping) or all(name in value for name in schema.get("required", ()))


def _kind(schema: Schema) -> str:
    required = schema.get("required")
    return f"an object with {', '.join(required)}" if required else _described(schema, _names(schema["type"]))


def _is_of(types: str | list[str], value: object) -> bool:
    return any(_TYPES[one](value) for one in _names(types))


def _names(types: str | list[str]) -> list[str]:
    return [types] if isinstance(types, str) else list(types)


def _check_text(schema: Schema, value: str | bytes, name: str) -> None:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    _require(len(value) >= least, name, value, f"at least {least} characters")
    _require(most is None or len(value) <= most, name, value, f"at most {most} characters")
    pattern = schema.get("pattern")
    if pattern is not None and isinstance(value, str):
        _require(_compiled(pattern).search(value) is not None, name, value, f"a text that matches {pattern}")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _check_number(schema: Schema, value: float, name: str) -> None:
    least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    _require(least <= value <= most, name, value, _described(schema, ["number"]))


def _check_list(schema: Schema, value: list[Any], name: str) -> None:
    least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    _require(least <= len(value) <= most, name, value, f"{least} to {most} entries")
    items = schema.get("items")
    if items is not None:
        for number, item in enumerate(value):
            validate(items, item, f"{name}[{number}]")


def _check_object(schema: Schema, value: Mapping[str, Any], name: str) -> None:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    missing = [one for one in schema.get("required", ()) if one not in value]
    if missing:
        raise RequestError(f"{name} has no {', '.join(missing)}")
    unknown = sorted(value.keys() - properties.keys())
    others = schema.get("additionalProperties", True)
    if unknown and others is False:
        shown = ", ".join(one[:40] for one in unknown[:5])
        raise RequestError(f"unknown field {shown}; {name} takes {', '.join(properties)}")
    if isinstance(others, Mapping):
        for one in unknown:
            validate(others, value[one], one[:40])
    _require(len(value) >= schema.get("minProperties", 0), name, value, "an object that is not empty")
    for one in properties.keys() & value.keys():
        validate(properties[one], value[one], one)


def _require(condition: object, name: str, value: object, expected: str) -> None:
    if not condition:
        raise RequestError(f"{name} is {_shown(value)}; expected {expected}")


def _shown(value: object) -> str:
    match value:
        case bytes():
            return f"{len(value)} bytes"
        case list():
            return f"a list of {len(value)}"
        case Mapping():
            return f"an object with {', '.join(sorted(map(str, value))[:8])[:80]}" if value else "an empty object"
        case str():
            return repr(value[:60])
    return repr(value)[:60]


def _described(schema: Schema, names: list[str]) -> str:
    text = " or ".join(_WORDS[name] for name in names)
    if "minimum" in schema and "maximum" in schema:
        text += f" from {schema['minimum']} to {schema['maximum']}"
    return text


def _is_integer(value: object) -> bool:
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float
        return False


_TYPES: Mapping[str, Callable[[object], bool]] = {
    "string": lambda value: isinstance(value, str | bytes),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": _is_number,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, Mapping),
    "null": lambda value: value is None,
}
_WORDS = {
    "string": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
