"""Pages of one query: the token says where the next one begins, and which query it belongs to.

Nothing is kept between pages. Each page asks for all hits up to its end, which S3 Vectors answers up to 10,000.
"""

import base64
import binascii
from dataclasses import dataclass

import orjson

from handler.api.query import SearchRequest
from handler.aws.sdk.s3vectors import MAX_TOP_K
from handler.errors import RequestError


@dataclass(frozen=True, slots=True)
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


def next_token(page: Page, request: SearchRequest, fingerprint: str) -> str | None:
    """The token of the page behind this one; None where S3 Vectors gives no more."""
    if page.stop >= MAX_TOP_K:
        return None
    return base64.urlsafe_b64encode(orjson.dumps([page.stop, request.digest, fingerprint[:16]])).decode()


def _start(token: str, digest: str, fingerprint: str) -> int:
    try:
        start, of_query, of_model = orjson.loads(base64.urlsafe_b64decode(token.encode("ascii")))
    except (ValueError, binascii.Error):
        raise RequestError("next is not a token that a search has given") from None
    if (of_query, of_model) != (digest, fingerprint[:16]):
        raise RequestError("next belongs to another query, or to another model; start again without it")
    if type(start) is not int or not 0 < start < MAX_TOP_K:
        raise RequestError("next is not a token that a search has given")
    return start
