"""Pages of one query: the token says where the next one begins, and which query it belongs to.

Nothing is kept between pages. Each page asks for all hits up to its end, of which S3 Vectors returns at most 10,000.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import replace

import orjson

from handler.api.hits import Hit
from handler.api.query import SearchRequest
from handler.aws.sdk.s3vectors import MAX_TOP_K
from handler.errors import RequestError
from handler.frozen import frozen

# Lambda's limit of an answer, after which the whole answer is lost, less room for its other fields:
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_ANSWER_BYTES = 6_291_556 - 4096

# So many hits always fit, also as base64 in an HTTP response: with six bytes for each character, a hit has at most
# 50 KB in JSON (two S3 addresses, and the labels that fit into 2 KB of metadata, with their scores).
_ALWAYS_FIT = 90

# How much longer a hit may become when its duplicates are counted, and the comma between two hits.
_MORE_BYTES = 8


@frozen
class Page:
    """Which hits of a query are asked for.

    Attributes:
        start: the number of the first one, from 0.
        stop: the number behind the last one.
    """

    start: int
    stop: int


def page_of(request: SearchRequest, fingerprint: str) -> Page:
    """The page that a request asks for.

    Raises:
        RequestError: its token is none, or of another query or model.
    """
    start = 0 if request.next is None else _start(request.next, request.digest, fingerprint)
    return Page(start, min(start + request.k, MAX_TOP_K))


def shortened(page: Page, hits: Sequence[Hit], max_bytes: int) -> Page:
    """The page, with as few hits less as it takes for an answer that Lambda delivers; at least one.

    Args:
        page: which hits are asked for.
        hits: of the whole query, best first.
        max_bytes: of the hits.
    """
    if min(page.stop, len(hits)) - page.start <= _ALWAYS_FIT:
        return page
    size = 0
    for number in range(page.start, min(page.stop, len(hits))):
        size += len(json.dumps(hits[number].to_json())) + _MORE_BYTES
        if size > max_bytes and number > page.start:
            return replace(page, stop=number)
    return page


def next_token(page: Page, request: SearchRequest, fingerprint: str) -> str | None:
    """The token of the page behind this one; None where S3 Vectors returns no more."""
    if page.stop >= MAX_TOP_K:
        return None
    return base64.urlsafe_b64encode(orjson.dumps([page.stop, request.digest, fingerprint[:16]])).decode()


def _start(token: str, digest: str, fingerprint: str) -> int:
    try:
        start, of_query, of_model = orjson.loads(base64.urlsafe_b64decode(token.encode("ascii")))
    except (ValueError, TypeError, binascii.Error):
        raise RequestError("next is not a token that a search has given") from None
    if (of_query, of_model) != (digest, fingerprint[:16]):
        raise RequestError("next belongs to another query, or to another model; start again without it")
    if type(start) is not int or not 0 < start < MAX_TOP_K:
        raise RequestError("next is not a token that a search has given")
    return start
