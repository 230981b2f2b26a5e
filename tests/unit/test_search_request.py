"""Search requests: what is taken, and one line for everything that is not."""

import base64
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.api.query import MAX_TERMS, Picture, RawVector, Source, Term, Text, parse_request
from handler.errors import RequestError

CAT = {"text": "cat"}


def test_every_kind_of_query_and_the_defaults() -> None:
    query = [
        {"text": "a beach"},
        {"text": "people", "weight": -0.5},
        {"image": base64.b64encode(b"data").decode()},
        {"source": "s3://bucket/a key"},
        {"vector": [1, 0.5]},
    ]
    request = parse_request({"query": query})
    assert request.terms == (
        Term(Text("a beach")),
        Term(Text("people"), -0.5),
        Term(Picture(b"data")),
        Term(Source("s3://bucket/a key")),
        Term(RawVector((1.0, 0.5))),
    )
    rest = (request.k, request.filter, request.min_score, request.dedupe, request.next)
    assert rest == (10, None, None, None, None)
    assert parse_request({"query": CAT}).terms == parse_request({"query": [CAT]}).terms == (Term(Text("cat")),)


def test_every_field() -> None:
    body = {"query": CAT, "k": 1000, "filter": {"format": "jpeg"}, "min_score": -1, "dedupe": 1, "next": "token"}
    request = parse_request(body)
    assert (request.k, request.filter, request.min_score, request.dedupe) == (1000, {"format": "jpeg"}, -1.0, 1.0)
    assert request.next == "token"
    nulls = dict.fromkeys(["k", "filter", "min_score", "dedupe", "next"])
    assert parse_request({"query": CAT, **nulls}) == parse_request({"query": CAT})


def test_the_digest_is_that_of_the_query_without_its_page() -> None:
    one = parse_request({"query": CAT, "k": 5, "next": "a"})
    assert one.digest == parse_request({"k": 5, "query": CAT, "filter": None}).digest
    for other in ({"query": CAT, "k": 6}, {"query": {"text": "dog"}, "k": 5}, {"query": CAT, "k": 5, "dedupe": 0.5}):
        assert parse_request(other).digest != one.digest


@pytest.mark.parametrize(
    "data",
    ["aGVsbG8/", "aGVsbG8_", "data:image/png;base64,aGVsbG8/", "aGVs\nbG8/\r\n", " aGVsbG8/ ", "DATA:;base64,aGVsbG8_"],
)
def test_base64_as_it_is_often_sent(data: str) -> None:
    assert parse_request({"query": {"image": data}}).terms == (Term(Picture(b"hello?")),)


@given(st.binary(min_size=1, max_size=40), st.booleans(), st.booleans())
def test_any_bytes_in_base64(data: bytes, url_safe: bool, padded: bool) -> None:
    text = (base64.urlsafe_b64encode if url_safe else base64.b64encode)(data).decode()
    request = parse_request({"query": {"image": text if padded else text.rstrip("=")}})
    assert request.terms == (Term(Picture(data)),)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "a search is an object with `query`, not None"),
        ([], "a search is an object with `query`"),
        ("cat", "a search is an object"),
        ({}, "query is empty"),
        ({"query": None}, "query is empty"),
        ({"query": []}, "query is empty; expected 1 to 100 objects"),
        ({"query": [CAT] * (MAX_TERMS + 1)}, "query is empty|at most"),
        ({"query": "cat"}, "query holds 'cat'; expected objects"),
        ({"query": {}}, "expected one of text, image, source, vector"),
        ({"query": {"text": "a", "image": "b"}}, "expected one of"),
        ({"query": {"text": "a", "wieght": 2}}, "expected one of"),
        ({"query": {"weight": 2}}, "expected one of"),
        ({"query": {"text": ""}}, "text is ''; expected a text"),
        ({"query": {"text": " \n"}}, "expected a text"),
        ({"query": {"text": 1}}, "text is 1; expected a text"),
        ({"query": {"text": "\ud800"}}, "expected a text"),
        ({"query": {"text": "x" * 10_001}}, "text has 10001 characters"),
        ({"query": {"text": "a", "weight": 0}}, "weight is 0"),
        ({"query": {"text": "a", "weight": "2"}}, "weight is '2'"),
        ({"query": {"text": "a", "weight": True}}, "weight is True"),
        ({"query": {"text": "a", "weight": math.inf}}, "weight is inf"),
        ({"query": {"text": "a", "weight": 10**400}}, "weight is 1000"),
        ({"query": {"image": "*"}}, "not valid base64"),
        ({"query": {"image": "é"}}, "not valid base64"),
        ({"query": {"image": "="}}, "image is empty"),
        ({"query": {"image": "a+b_"}}, "mixes"),
        ({"query": {"source": "bucket/key"}}, "expected s3://bucket/key"),
        ({"query": {"source": "s3://bucket"}}, "expected s3://bucket/key"),
        ({"query": {"source": "s3:///key"}}, "expected s3://bucket/key"),
        ({"query": {"vector": []}}, "expected a list of finite numbers"),
        ({"query": {"vector": [1, "2"]}}, "expected a list of finite numbers"),
        ({"query": {"vector": [1, math.nan]}}, "expected a list of finite numbers"),
        ({"query": {"vector": [10**400]}}, "expected a list of finite numbers"),
        ({"query": {"vector": {"a": 1}}}, "expected a list of finite numbers"),
        ({"query": CAT, "k": 0}, "k is 0; expected a whole number from 1 to 1000"),
        ({"query": CAT, "k": 1001}, "k is 1001"),
        ({"query": CAT, "k": 1.0}, "k is 1.0"),
        ({"query": CAT, "k": True}, "k is True"),
        ({"query": CAT, "filter": {}}, "filter is"),
        ({"query": CAT, "filter": "format = jpeg"}, "filter is"),
        ({"query": CAT, "filter": {"width": 10**30}}, "cannot be written as JSON"),
        ({"query": CAT, "filter": {"key": "\ud800"}}, "cannot be written as JSON"),
        ({"query": CAT, "min_score": 1.1}, "min_score is 1.1; expected a number from -1 to 1"),
        ({"query": CAT, "min_score": "0"}, "min_score is '0'"),
        ({"query": CAT, "dedupe": -0.1}, "dedupe is -0.1; expected a number from 0 to 1"),
        ({"query": CAT, "dedupe": math.nan}, "dedupe is nan"),
        ({"query": CAT, "next": ""}, "next is ''"),
        ({"query": CAT, "next": 3}, "next is 3"),
        ({"query": CAT, "top_k": 3}, "unknown field top_k; a search takes dedupe, filter, k"),
    ],
)
def test_a_mistake_is_named_in_one_line(body: object, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        parse_request(body)
    assert caught.value.code == "invalid_request"
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 400


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        name: json_values | st.fixed_dictionaries({}, optional=dict.fromkeys(["text", "vector", "weight"], json_values))
        for name in ("query", "k", "filter", "min_score", "dedupe", "next")
    },
)


@given(json_values | bodies)
def test_anything_is_either_a_request_or_an_error_of_one_line(body: Any) -> None:
    try:
        parse_request(body)
    except RequestError as error:
        assert len(str(error).splitlines()) == 1
