"""The command line of a search -> the request of the API, with its own checks."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from handler.api.query import SearchRequest, parse_request
from handler.errors import DropvecError, RequestError
from infra.common.errors import OperatorError, UsageError
from infra.common.thumbnails import shrink

TEXT_PREFIX = "text:"
# With more weight, the words to avoid would decide the result more than the words to find.
MINUS_WEIGHT = -0.5

# A request to a Lambda function has at most 6 MB, and base64 makes four bytes of three.
MAX_FILE_BYTES = 4_000_000
_SHRUNK_SIDE, _SHRUNK_QUALITY = 2048, 95

_PICTURE_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"]
)


@dataclass(frozen=True)
class QueryOptions:
    """A search as it was typed.

    Attributes:
        query: words, the path of an image file, or `s3://bucket/key`.
        minus: the same, to look for the opposite.
        k: number of hits.
        filter: JSON in S3 Vectors' filter language; None for none.
        min_score: least score of a hit; None for any.
        dedupe: of hits at least so similar only the best one is shown; None for all.
        next: token of the next page; None for the first one.
    """

    query: str
    minus: Sequence[str] = ()
    k: int = 10
    filter: str | None = None
    min_score: float | None = None
    dedupe: float | None = None
    next: str | None = None

    @property
    def shown(self) -> str:
        """The query for people."""
        return " without ".join([self.query, *self.minus])


def request_body(options: QueryOptions) -> dict[str, Any]:
    """The request as the API takes it; optional fields that are not given are left out.

    Raises:
        UsageError: the request is invalid.
        OperatorError: a file cannot be read, or is not an image.
    """
    terms = [_term(options.query), *({**_term(text), "weight": MINUS_WEIGHT} for text in options.minus)]
    optional = {
        "filter": None if options.filter is None else _filter(options.filter),
        "min_score": options.min_score,
        "dedupe": options.dedupe,
        "next": options.next,
    }
    body = {"query": terms, "k": options.k, **{name: value for name, value in optional.items() if value is not None}}
    check_request(body)
    return body


def check_request(body: Mapping[str, Any]) -> SearchRequest:
    """Validate a request as the API does.

    Raises:
        UsageError: it is invalid.
    """
    try:
        return parse_request(body)
    except RequestError as error:
        raise UsageError(str(error)) from None


def _term(text: str) -> dict[str, Any]:
    if text.startswith("s3://"):
        return {"source": text}
    if text.startswith(TEXT_PREFIX):
        return {"text": _words(text.removeprefix(TEXT_PREFIX))}
    path = Path(text)
    try:
        if path.is_file():
            return {"image": base64.b64encode(_read_picture(path)).decode()}
    except (OSError, ValueError):  # not a path: too long, or with a zero byte
        return {"text": _words(text)}
    if path.suffix.lower() in _PICTURE_SUFFIXES:
        raise OperatorError(f"there is no file {text}; to search for these words, write {TEXT_PREFIX}{text}")
    return {"text": _words(text)}


def _words(text: str) -> str:
    """Arguments that are not UTF-8 have surrogates, which JSON does not allow."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _read_picture(path: Path) -> bytes:
    """A file's bytes; of a file that is too large for a request a picture of 2,048 pixels, larger than any model's."""
    try:
        data = path.read_bytes()
        if len(data) <= MAX_FILE_BYTES:
            return data
        return shrink(data, _SHRUNK_SIDE, _SHRUNK_QUALITY)
    except DropvecError as error:
        raise OperatorError(f"{path}: {error} ({error.code})") from None
    except OSError as error:
        raise OperatorError(f"cannot read {path}: {error.strerror}") from None


def _filter(text: str) -> object:
    try:
        return orjson.loads(text)
    except ValueError as error:
        example = '{"key": {"$startsWith": "2019/"}}'
        raise UsageError(f"--filter is not JSON ({error}); an example: --filter '{example}'") from None
