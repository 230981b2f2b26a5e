"""`GET /items`: one item, or a page of items in the order of their keys."""

import base64
import binascii
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from handler.api.http.call import Call
from handler.api.http.response import HttpResponse, json_response
from handler.api.http.scope import Scope, missing
from handler.api.http.services import Services
from handler.api.items import MAX_BATCH
from handler.aws.retries import attempt
from handler.errors import RequestError
from handler.results.item import DELETED, WireItem, text_of
from handler.results.keys import MAX_KEY_BYTES
from handler.timing import Deadline

if TYPE_CHECKING:
    from handler.model.encoder import Vector


def items(services: Services, call: Call) -> HttpResponse:
    """The item of `source`, or a page of those whose keys begin with `prefix`.

    Raises:
        RequestError: the parameters do not go together, or `next` is not a token of this prefix.
        MissingObjectError: the object has no item, or is outside the scope.
        RetryableError: S3 or DynamoDB failed.
    """
    source, prefix, token = (call.parameters.get(name) for name in ("source", "prefix", "next"))
    if source is None:
        return json_response(_page(services, prefix or "", token, call.deadline))
    if prefix is not None or token is not None:
        raise RequestError("source goes with neither prefix nor next")
    return json_response(plain(visible_item(services, source, call.deadline)))


def visible_item(services: Services, source: str, deadline: Deadline) -> WireItem:
    """The item of an object that the API may show.

    Raises:
        MissingObjectError: it has none, or a tombstone, or is outside the scope.
        RetryableError: DynamoDB failed.
    """
    services.scope.key_of(source)
    item = services.items.read_wire(source, deadline)
    if item is None or text_of(item, "status") == DELETED:
        raise missing(source)
    return item


def _page(services: Services, prefix: str, token: str | None, deadline: Deadline) -> dict[str, Any]:
    """A page of the bucket's keys, with those items that they have; it may hold fewer than there are keys."""
    scope = services.scope
    start = "" if token is None else _key_in(token, prefix)
    listed_prefix = _narrowed(prefix, scope)
    if listed_prefix is None:
        return {"items": [], "next": None}
    list_page = partial(services.s3.list_after, scope.bucket, listed_prefix, start, MAX_BATCH)
    page = attempt(list_page, deadline)
    sources = [scope.source(entry.key) for entry in page.entries if scope.matches(entry.key)]
    found = services.items.read_many(sources, deadline)
    shown = [found[source] for source in sources if source in found and text_of(found[source], "status") != DELETED]
    follows = page.entries[-1].key if page.entries and page.next_token else None
    return {
        "items": [plain(item, with_embedding=False) for item in shown],
        "next": None if follows is None else _token(prefix, follows),
    }


def _narrowed(prefix: str, scope: Scope) -> str | None:
    """The longer one of a prefix and the scope's; None if no key can begin with both, or with the prefix."""
    if not _may_begin_a_key(prefix):
        return None
    if prefix.startswith(scope.prefix):
        return prefix
    return scope.prefix if scope.prefix.startswith(prefix) else None


def _token(prefix: str, key: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([prefix, key])).decode()


def _key_in(token: str, prefix: str) -> str:
    try:
        of_prefix, key = orjson.loads(base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error):
        raise RequestError("next is not a token that a page of items has given") from None
    if of_prefix != prefix or not isinstance(key, str) or not key.startswith(prefix) or not _may_begin_a_key(key):
        raise RequestError("next belongs to another prefix; start again without it")
    return key


def _may_begin_a_key(text: str) -> bool:
    """Whether S3 lists with it; it refuses what no key can have."""
    return "\0" not in text and len(text.encode()) <= MAX_KEY_BYTES


def plain(item: WireItem, *, with_embedding: bool = True) -> dict[str, Any]:
    """An item as JSON: numbers as numbers, the embedding as a list of numbers."""
    values = {name: _value(typed) for name, typed in item.items() if name != "embedding"}
    if with_embedding and "embedding" in item:
        values["embedding"] = vector_of(item)
    return values


def vector_of(item: WireItem) -> "Vector":
    """The vector of an item that has one, float32 (embedding_dim,)."""
    import numpy as np  # noqa: PLC0415 - a page of items needs none

    dtype = {"float32": "<f4", "float16": "<f2"}[text_of(item, "embedding_dtype") or "float32"]
    return np.frombuffer(item["embedding"]["B"], dtype=dtype).astype(np.float32)


def _value(typed: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any type of DynamoDB
    ((kind, value),) = typed.items()
    match kind:
        case "N":
            return float(value) if any(mark in value for mark in ".eE") else int(value)
        case "L":
            return [_value(each) for each in value]
        case "M":
            return {name: _value(each) for name, each in value.items()}
        case "B":
            return base64.b64encode(value).decode()
    return value
