"""Parsing of HTTP requests, for any input: queries, forms, base64, and the schemas beside a public validator."""

import base64
import json
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from handler.api.base64_data import decode_base64
from handler.api.http.definitions import EMBEDDINGS, SCHEMAS, SEARCH, UPLOAD
from handler.api.http.multipart import read_form
from handler.api.http.request import read_request
from handler.api.http.routes import ROUTES
from handler.api.http.schema import read_text, validate
from handler.api.http_event import is_http
from handler.api.query import parse_request
from handler.errors import RequestError
from tests.support.http_api import BOUNDARY, Part, form, http_event

KIND = f"multipart/form-data; boundary={BOUNDARY}"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2000) | st.floats(allow_nan=False, width=32) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
names = st.text("abc", min_size=1, max_size=3)


@given(pairs=st.lists(st.tuples(texts.filter(bool), texts), max_size=20))
def test_a_query_gives_the_values_that_were_sent(pairs: list[tuple[str, str]]) -> None:
    for quoted in (urlencode(pairs), urlencode(pairs, quote_via=quote)):
        found = read_request(http_event("GET", "/items", quoted)).query()
        assert [(name, value) for name in found for value in found[name]] == sorted(
            pairs, key=lambda pair: list(found).index(pair[0])
        )


@given(query=st.text(max_size=60))
def test_any_query_gives_values_or_a_typed_error(query: str) -> None:
    try:
        found = read_request(http_event("GET", "/items", query)).query()
    except RequestError:
        return
    assert all(values for values in found.values())


@given(data=st.binary(max_size=200))
def test_a_body_is_what_was_sent(data: bytes) -> None:
    assert read_request(http_event("POST", "/search", body=data)).body() == data


@given(event=json_values, headers=json_values, query=json_values, body=json_values, flag=json_values)
def test_any_event_with_a_context_is_a_request(event: Any, headers: Any, query: Any, body: Any, flag: Any) -> None:
    assert not is_http(event) or "requestContext" in event
    made = {
        "requestContext": {"http": {"method": event}, "stage": query},
        "rawPath": event,
        "headers": headers,
        "rawQueryString": query,
        "body": body,
        "isBase64Encoded": flag,
    }
    assert is_http(made)
    request = read_request(made)
    assert request.path
    for read in (request.query, request.body, request.json, request.media_type):
        with suppress(RequestError):
            read()


parts = st.builds(
    Part,
    name=st.sampled_from(["file", "priority", "other"]),
    data=st.binary(max_size=100).filter(lambda data: b"--" not in data),
    filename=st.none() | st.text("ab.ä ", min_size=1, max_size=8),
)


@given(sent=st.lists(parts, max_size=6))
def test_a_form_gives_the_parts_that_were_sent(sent: list[Part]) -> None:
    fields = [part for part in sent if part.name != "file"]
    if any(part.name == "file" and part.filename is None for part in sent):
        with pytest.raises(RequestError):
            read_form(KIND, form(*sent))
        return
    try:
        expected = [(part.name, bytes(part.data).decode()) for part in fields]  # type: ignore[arg-type]
    except UnicodeDecodeError:
        with pytest.raises(RequestError):
            read_form(KIND, form(*sent))
        return
    found = read_form(KIND, form(*sent))
    files = [(part.filename or "", part.data) for part in sent if part.name == "file" and (part.data or part.filename)]
    assert [(file.name.strip(), file.data) for file in found.files] == [(name.strip(), data) for name, data in files]
    assert sorted((name, text) for name, values in found.fields.items() for text in values) == sorted(expected)


@given(content_type=st.just(KIND) | st.text(max_size=40), body=st.binary(max_size=300))
@example(KIND, f"--{BOUNDARY}\r\n\r\n\r\n--{BOUNDARY}--".encode())
@example(f"multipart/form-data; boundary={'x' * 500}", b"")
def test_any_bytes_are_a_form_or_a_typed_error(content_type: str, body: bytes) -> None:
    try:
        read_form(content_type, body)
    except RequestError as error:
        assert "\n" not in str(error)


@given(body=st.binary(max_size=120), cut=st.integers(0, 400), flipped=st.integers(0, 10_000))
def test_a_damaged_form_is_a_form_or_a_typed_error(body: bytes, cut: int, flipped: int) -> None:
    data = bytearray(form(Part("file", body, "a.png"), Part("priority", "3")))
    data[flipped % len(data)] ^= 1 << flipped % 8
    with suppress(RequestError):
        read_form(KIND, bytes(data[: cut or None]))


@given(
    data=st.binary(min_size=1, max_size=200),
    width=st.integers(1, 80),
    head=st.sampled_from(["", "data:image/png;base64,"]),
)
def test_every_unambiguous_form_of_base64_gives_the_bytes(data: bytes, width: int, head: str) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(data).decode()
        wrapped = "\r\n".join(text[start : start + width] for start in range(0, len(text), width))
        for form_ in (text, text.rstrip("="), wrapped, f" {wrapped}\n"):
            assert decode_base64(head + form_.lstrip() if head else form_) == data


@given(text=st.text(max_size=50))
def test_any_text_is_base64_or_a_typed_error(text: str) -> None:
    with suppress(RequestError):
        decode_base64(text)


def accepts(schema: Any, value: Any) -> bool:
    try:
        validate(schema, value, "it")
    except RequestError as error:
        assert len(str(error)) < 1000
        return False
    return True


def mutated(schema: Any) -> st.SearchStrategy[Any]:
    """Values that often match a schema."""
    if "anyOf" in schema:
        return st.one_of(*(mutated(one) for one in schema["anyOf"])) | json_values
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) | json_values
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return st.one_of(*(_of_kind(kind, schema) for kind in kinds)) | json_values


def _of_kind(kind: str, schema: Any) -> st.SearchStrategy[Any]:
    if kind == "object" and "properties" in schema:
        return st.fixed_dictionaries({}, optional={name: mutated(one) for name, one in schema["properties"].items()})
    if kind == "array" and "items" in schema:
        return st.lists(mutated(schema["items"]), max_size=3)
    return {
        "object": st.dictionaries(names, json_values, max_size=3),
        "array": st.lists(json_values, max_size=3),
        "string": texts | st.sampled_from(["image/png", "image/png\n", "00000000-0000-4000-8000-000000000000"]),
        "integer": st.integers(-2, 1200) | st.sampled_from([1.0, 1.5]),
        "number": st.floats(-2, 2) | st.integers(-2, 2),
        "boolean": st.booleans(),
        "null": st.none(),
    }[kind]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_are_valid(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("name", SCHEMAS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_our_validator_agrees_with_a_public_one(name: str, data: st.DataObject) -> None:
    schema = SCHEMAS[name]
    value = data.draw(mutated(schema))
    assert accepts(schema, value) == Draft202012Validator(schema).is_valid(value)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_our_validator_agrees_for_parameters_and_forms(data: st.DataObject) -> None:
    route = data.draw(st.sampled_from([route for route in ROUTES if route.parameters or route.bodies]))
    for schema in [parameter.schema for parameter in route.parameters] + list(route.bodies.values()):
        value = data.draw(mutated(schema))
        assert accepts(schema, value) == Draft202012Validator(schema).is_valid(value)


def is_search(value: Any) -> bool:
    try:
        parse_request(value)
    except RequestError:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_schema_of_a_search_refuses_nothing_that_a_search_takes(data: st.DataObject) -> None:
    value = data.draw(mutated(SEARCH))
    if is_search(value):
        assert accepts(SEARCH, value)


@given(value=json_values)
def test_a_value_that_is_refused_is_named_in_short(value: Any) -> None:
    for schema in (SEARCH, EMBEDDINGS, UPLOAD):
        assert accepts(schema, value) in {True, False}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"words": "x"}, "query is an object with words; expected an object with text or an object with image"),
        ({"image": 5}, "image is 5; expected a text"),
        ({"text": "x", "image": "y"}, "unknown field image; query takes weight, text"),
        ([{"vector": []}], "vector is a list of 0; expected 1 to 4096 entries"),
        ([5], "query[0] is 5; expected an object with text or"),
        ("x", "query is 'x'; expected an object with text or"),
    ],
)
def test_an_error_names_what_is_wrong(query: Any, message: str) -> None:
    with pytest.raises(RequestError) as error:
        validate(SEARCH, {"query": query}, "the body")
    assert str(error.value).startswith(message)


@given(text=st.text(max_size=10) | st.integers().map(str) | st.floats().map(str))
def test_texts_become_numbers_as_json_writes_them(text: str) -> None:
    for kind in ("integer", "number"):
        schema = {"type": kind, "minimum": -1000, "maximum": 1000}
        try:
            found = read_text(schema, text, "it")
        except RequestError:
            continue
        assert found == json.loads((text.lstrip("-0") and text) or "0") or float(text) == found
