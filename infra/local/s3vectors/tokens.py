"""Tokens of pages: what a client sends back to get the next one."""

import base64
import binascii
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import orjson

from infra.local.s3vectors.errors import ValidationError
from infra.local.s3vectors.index import Hit
from infra.local.s3vectors.limits import QUERY_PAGE, QUERY_TOKEN_SECONDS

_SESSIONS = 256


def encode_token(list_id: str, after: str | int) -> str:
    """A token of a list.

    Args:
        list_id: identifies the list.
        after: the last entry of the page.
    """
    return base64.urlsafe_b64encode(orjson.dumps([list_id, after])).decode()


def decode_name(token: str, list_id: str) -> str:
    """The `after` of a token of a list of names.

    Raises:
        ValidationError: it is no token, or one of another list.
    """
    found, after = _decoded(token)
    if found != list_id or not isinstance(after, str):
        raise invalid_token()
    return after


def decode_number(token: str, list_id: str) -> int:
    """The `after` of a token of a list that is numbered.

    Raises:
        ValidationError: it is no token, or one of another list.
    """
    found, after = _decoded(token)
    if found != list_id or not isinstance(after, int):
        raise invalid_token()
    return after


def invalid_token() -> ValidationError:
    """The error for a token that was not given out for the request that it came with."""
    return ValidationError.at("nextToken", "Invalid nextToken")


def _decoded(token: str) -> tuple[object, object]:
    try:
        list_id, after = orjson.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, TypeError):  # not base64, not JSON, not two values
        raise invalid_token() from None
    return list_id, after


@dataclass(frozen=True)
class _Session:
    query_id: str
    hits: Sequence[Hit]
    until: float


@dataclass
class QuerySessions:
    """The results of queries that have more than one page.

    AWS documents that they stay readable for several minutes. Here, later writes to the index do not change them, and
    only the newest 256 are kept.

    Args:
        clock: seconds that never go back.
    """

    clock: Callable[[], float] = time.monotonic
    _sessions: dict[str, _Session] = field(default_factory=dict, init=False)

    def first_page(self, query_id: str, hits: Sequence[Hit]) -> tuple[Sequence[Hit], str | None]:
        """The first page of results, and the token of the next page where there is one.

        Args:
            query_id: identifies the query.
            hits: all results.
        """
        if len(hits) <= QUERY_PAGE:
            return hits, None
        if len(self._sessions) == _SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        name = secrets.token_urlsafe(12)
        self._sessions[name] = _Session(query_id, hits, self.clock() + QUERY_TOKEN_SECONDS)
        return hits[:QUERY_PAGE], encode_token(name, QUERY_PAGE)

    def next_page(self, query_id: str, token: str) -> tuple[Sequence[Hit], str | None]:
        """The page of a token, and the token of the next one.

        Raises:
            ValidationError: the token is none, is too old, or is of another query.
        """
        name, start = _decoded(token)
        session = self._sessions.get(name) if isinstance(name, str) else None
        if session is None or session.query_id != query_id or session.until < self.clock():
            raise invalid_token()
        if not (isinstance(start, int) and 0 < start < len(session.hits)):
            raise invalid_token()
        end = start + QUERY_PAGE
        return session.hits[start:end], encode_token(str(name), end) if end < len(session.hits) else None
