"""An answer -> Lambda's HTTP response, payload format 2.0, with the headers that protect a browser."""

import base64
from collections.abc import Mapping
from dataclasses import field
from typing import Any

import orjson

from handler.api.pages import MAX_ANSWER_BYTES
from handler.errors import DropvecError, MethodError
from handler.frozen import frozen

RETRY_SECONDS = 2

# Lambda's limit holds for the payload, in which a text has its quotes escaped. A large body becomes base64 instead,
# whose size is known: so much JSON always fits.
MAX_JSON_BYTES = MAX_ANSWER_BYTES * 3 // 4
_MAX_TEXT_BYTES = 1_000_000

_STATUS_BY_CODE = {
    "unauthorized": 401,
    "api_off": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_indexed": 409,
    "request_too_large": 413,
    "unsupported_media_type": 415,
    # A picture that cannot be embedded: the codes of handler.errors.Rejection.
    "unsupported_format": 422,
    "corrupt_image": 422,
    "empty_object": 422,
    "too_many_bytes": 422,
    "too_many_pixels": 422,
    "archived_object": 422,
    "unreadable_object": 422,
    "unusable_vector": 422,
    "unavailable": 503,
    "access_denied": 503,
    "internal": 500,
    "invalid_bundle": 500,
    "invalid_settings": 500,
}
_BAD_REQUEST = 400  # every other code

_SAFE_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}
# An answer that is not the page must not run anything if somebody opens it.
_CLOSED_POLICY = "default-src 'none'; frame-ancestors 'none'"
_TEXT_TYPES = ("text/", "application/json", "image/svg+xml")


@frozen
class HttpResponse:
    """An answer.

    Attributes:
        status: HTTP status.
        body: its bytes.
        media_type: of the body, with parameters.
        headers: further ones, with lower-case names.
    """

    status: int
    body: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_payload(self, *, with_body: bool = True) -> dict[str, Any]:
        """Lambda's form of it; without the body for a HEAD request."""
        headers = {
            "content-type": self.media_type,
            "cache-control": "no-store",
            "content-security-policy": _CLOSED_POLICY,
            **_SAFE_HEADERS,
            **self.headers,
        }
        body = self.body if with_body else b""
        is_text = self.media_type.startswith(_TEXT_TYPES) and len(body) <= _MAX_TEXT_BYTES
        return {
            "statusCode": self.status,
            "headers": headers,
            "body": body.decode() if is_text else base64.b64encode(body).decode(),
            "isBase64Encoded": not is_text,
        }


def json_response(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """An answer in JSON; numpy arrays become lists with the shortest numbers that give the same values."""
    return HttpResponse(status, orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), headers=headers or {})


def status_of(code: str) -> int:
    """The HTTP status of an error's code."""
    return _STATUS_BY_CODE.get(code, _BAD_REQUEST)


def error_response(error: DropvecError) -> HttpResponse:
    """The one shape of every error."""
    status = status_of(error.code)
    headers = {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if status == 503:
        headers["retry-after"] = str(RETRY_SECONDS)
    if isinstance(error, MethodError):
        headers["allow"] = ", ".join(error.allowed)
    message = " ".join(str(error).encode(errors="replace").decode().split())
    return json_response({"status": "error", "error": message, "error_code": error.code}, status, headers)
