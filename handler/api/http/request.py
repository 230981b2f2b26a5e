"""Lambda's HTTP event, payload format 2.0, as a Function URL and an HTTP API send it -> a request.

Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from handler.errors import RequestError, TooLargeError
from handler.frozen import frozen

# Lambda takes 6 MB, in which a body is base64, so that 4.5 MB of it would arrive; this leaves room for the headers.
MAX_BODY_BYTES = 4 * 1000 * 1000
MAX_QUERY_FIELDS = 50

_DEFAULT_STAGE = "$default"


@frozen
class HttpRequest:
    """A request whose query and body are not read yet.

    Attributes:
        method: in upper case.
        path: without the stage of an HTTP API.
        raw_query: as sent.
        headers: with lower-case names.
        raw_body: text, or base64.
        is_base64: which of the two.
    """

    method: str
    path: str
    raw_query: str
    headers: Mapping[str, str]
    raw_body: str
    is_base64: bool

    def query(self) -> dict[str, list[str]]:
        """The query's values by name, in their order.

        Raises:
            RequestError: it is not percent-encoded UTF-8, or has too many fields.
        """
        try:
            pairs = parse_qsl(self.raw_query, keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS)
        except ValueError:
            raise RequestError(
                f"the query string is not percent-encoded UTF-8 with at most {MAX_QUERY_FIELDS} fields"
            ) from None
        found: dict[str, list[str]] = {}
        for name, value in pairs:
            found.setdefault(name, []).append(value)
        return found

    def body(self) -> bytes:
        """The body's bytes.

        Raises:
            TooLargeError: there are more than `MAX_BODY_BYTES`.
            RequestError: the event's base64 is invalid.
        """
        if self.is_base64:
            _check_size(len(self.raw_body) * 3 // 4 - 2)  # the least that it can be, before it is decoded
            try:
                data = base64.b64decode(self.raw_body, validate=True)
            except (binascii.Error, ValueError):
                raise RequestError("the event's body is not valid base64") from None
        else:
            _check_size(len(self.raw_body))
            data = self.raw_body.encode(errors="replace")
        _check_size(len(data))
        return data

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """The body as JSON.

        Raises:
            RequestError: it is not JSON.
            TooLargeError: see `body`.
        """
        try:
            return orjson.loads(self.body())
        except orjson.JSONDecodeError as error:
            raise RequestError(f"the body is not JSON: {error.msg[:100]} (line {error.lineno})") from None

    def media_type(self) -> str:
        """The content type without parameters, in lower case; empty without one."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def accepts(self, media_type: str) -> bool:
        """Whether the header `Accept` names exactly this type."""
        parts = self.headers.get("accept", "").split(",")
        return any(part.partition(";")[0].strip().lower() == media_type for part in parts)


def read_request(event: Mapping[str, Any]) -> HttpRequest:
    """Read an event that `is_http`; a field that is missing or of another type counts as empty."""
    context = event["requestContext"]
    headers = event.get("headers")
    pairs = headers.items() if isinstance(headers, Mapping) else ()
    return HttpRequest(
        method=_text(context["http"].get("method")).upper(),
        path=_without_stage(_text(event.get("rawPath")), _text(context.get("stage"))) or "/",
        raw_query=_text(event.get("rawQueryString")),
        headers={str(name).lower(): _text(value) for name, value in pairs},
        raw_body=_text(event.get("body")),
        is_base64=event.get("isBase64Encoded") is True,
    )


def _without_stage(path: str, stage: str) -> str:
    """An HTTP API's path begins with its stage, unless that is the default one."""
    prefix = f"/{stage}"
    if stage in {"", _DEFAULT_STAGE} or not (path == prefix or path.startswith(f"{prefix}/")):
        return path
    return path.removeprefix(prefix)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _check_size(size: int) -> None:
    if size > MAX_BODY_BYTES:
        raise TooLargeError(
            f"the body has more than {MAX_BODY_BYTES} bytes; send larger files with the form that POST /uploads gives"
        )
