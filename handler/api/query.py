"""A search request, validated by hand: pydantic would cost more than all the rest of the cold start of a search."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import orjson

from handler.api.base64_data import decode_base64
from handler.errors import RequestError
from handler.frozen import frozen

MAX_K = 1000
MAX_TERMS = 100
MAX_TEXT_CHARACTERS = 10_000

_FIELDS = frozenset({"query", "k", "filter", "min_score", "dedupe", "next"})
_KINDS = ("text", "image", "source", "vector")


@frozen
class Text:
    """Words."""

    words: str


@frozen
class Picture:
    """The bytes of an image file."""

    data: bytes


@frozen
class Source:
    """An object whose vector is in the index."""

    address: str


@frozen
class RawVector:
    """A vector of the caller's."""

    numbers: tuple[float, ...]


Subject = Text | Picture | Source | RawVector


@frozen
class Term:
    """One part of a query.

    Attributes:
        subject: what to look for.
        weight: its factor in the sum; negative to look for the opposite.
    """

    subject: Subject
    weight: float = 1.0


@frozen
class SearchRequest:
    """A validated request.

    Attributes:
        terms: at least one.
        k: hits of a page, 1 to 1,000.
        filter: S3 Vectors' filter document; it is validated there.
        min_score: hits below it are left out.
        dedupe: of hits at least so similar (cosine) only the best one stays; None keeps all.
        next: the token of the page that is asked for; None for the first one.
        digest: of the request without `next`: equal for all pages of one query.
    """

    terms: tuple[Term, ...]
    k: int
    filter: Mapping[str, Any] | None
    min_score: float | None
    dedupe: float | None
    next: str | None
    digest: str


def parse_request(body: object) -> SearchRequest:
    """Validate a request.

    Raises:
        RequestError: the text names the field and what it takes.
    """
    if not isinstance(body, Mapping):
        raise RequestError(f"a search is an object with `query`, not {_shown(body)}")
    unknown = sorted(str(name)[:40] for name in body.keys() - _FIELDS)
    if unknown:
        raise RequestError(f"unknown field {', '.join(unknown[:5])}; a search takes {', '.join(sorted(_FIELDS))}")
    return SearchRequest(
        terms=_terms(body.get("query")),
        k=_count(body.get("k")),
        filter=_filter(body.get("filter")),
        min_score=_between(body, "min_score", -1, 1),
        dedupe=_between(body, "dedupe", 0, 1),
        next=_token(body.get("next")),
        digest=_digest(body),
    )


def _terms(query: object) -> tuple[Term, ...]:
    parts = query if isinstance(query, list) else [query]
    if query is None or not 1 <= len(parts) <= MAX_TERMS:
        raise RequestError(f"query is empty; expected 1 to {MAX_TERMS} objects with one of {', '.join(_KINDS)}")
    return tuple(_term(part) for part in parts)


def _term(part: object) -> Term:
    if not isinstance(part, Mapping):
        raise RequestError(f"query holds {_shown(part)}; expected objects with one of {', '.join(_KINDS)}")
    kinds = [kind for kind in _KINDS if kind in part]
    if len(kinds) != 1 or part.keys() - {*_KINDS, "weight"}:
        names = sorted(str(name)[:20] for name in part)[:8]
        raise RequestError(f"query has an object with {names}; expected one of {', '.join(_KINDS)}, and maybe weight")
    weight = part.get("weight", 1)
    if not _is_number(weight) or weight == 0:
        raise RequestError(f"weight is {_shown(weight)}; expected a finite number other than 0")
    return Term(_subject(kinds[0], part[kinds[0]]), float(weight))


def _subject(kind: str, value: object) -> Subject:
    if kind == "vector":
        if not isinstance(value, list) or not value or not all(map(_is_number, value)):
            raise RequestError(f"vector is {_shown(value)}; expected a list of finite numbers")
        return RawVector(tuple(float(number) for number in value))
    if not isinstance(value, str) or not value.strip() or not _is_unicode(value):
        raise RequestError(f"{kind} is {_shown(value)}; expected a text that is not empty")
    if kind == "image":
        return Picture(decode_base64(value))
    if kind == "source":
        bucket, _, key = value.removeprefix("s3://").partition("/")
        if not value.startswith("s3://") or not bucket or not key:
            raise RequestError(f"source is {_shown(value)}; expected s3://bucket/key")
        return Source(value)
    if len(value) > MAX_TEXT_CHARACTERS:
        raise RequestError(f"text has {len(value)} characters; at most {MAX_TEXT_CHARACTERS} are taken")
    return Text(value)


def _count(value: object) -> int:
    if value is None:
        return 10
    if type(value) is not int or not 1 <= value <= MAX_K:
        raise RequestError(f"k is {_shown(value)}; expected a whole number from 1 to {MAX_K}")
    return value


def _filter(value: object) -> Mapping[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not value:
        raise RequestError(f'filter is {_shown(value)}; expected an object such as {{"format": "jpeg"}}')
    return value


def _between(body: Mapping[str, Any], name: str, least: float, most: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if not _is_number(value) or not least <= value <= most:
        raise RequestError(f"{name} is {_shown(value)}; expected a number from {least} to {most}")
    return float(value)


def _token(value: object) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise RequestError(f"next is {_shown(value)}; expected the `next` of a search's answer, or null")
    return value


def _digest(body: Mapping[str, Any]) -> str:
    fields = {name: value for name, value in body.items() if name != "next" and value is not None}
    try:
        text = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:  # text that is not Unicode, inside the filter
        raise RequestError(f"the request cannot be written as JSON: {error}") from None
    return hashlib.sha256(text).hexdigest()[:32]


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float
        return False


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(value: object) -> str:
    return type(value).__name__ if isinstance(value, Mapping | list) and value else repr(value)[:60]
