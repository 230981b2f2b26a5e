"""`GET /`: the gallery's page, its scripts and its styles, which hold no data."""

import hashlib
from functools import cache
from pathlib import Path

from handler.api.http.call import Call
from handler.api.http.response import HttpResponse
from handler.api.http.services import Services
from handler.errors import MissingObjectError
from handler.frozen import frozen

_FOLDER = Path(__file__).parents[1] / "gallery"
_PAGE = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


@frozen
class _File:
    data: bytes
    media_type: str
    etag: str


def page(services: Services, call: Call) -> HttpResponse:
    """The page. Its policy allows scripts and styles from files only, and pictures from the bucket.

    Raises:
        MissingObjectError: this installation has no page.
    """
    bucket = services.presigner.origin(services.scope.bucket)
    policy = "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' blob: {bucket}",
            f"connect-src 'self' {bucket}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    return _response(_files().get(_PAGE), call, {"content-security-policy": policy})


def asset(_: Services, call: Call) -> HttpResponse:
    """A file of the page.

    Raises:
        MissingObjectError: there is no such file.
    """
    return _response(_files().get(call.parameters["name"]), call, {})


def _response(file: _File | None, call: Call, headers: dict[str, str]) -> HttpResponse:
    if file is None:
        raise MissingObjectError("there is no such file of the gallery")
    headers |= {"etag": file.etag, "cache-control": "no-cache"}  # kept, and asked for again with its ETag
    if call.request.headers.get("if-none-match") == file.etag:
        return HttpResponse(304, media_type=file.media_type, headers=headers)
    return HttpResponse(200, file.data, file.media_type, headers)


@cache
def _files() -> dict[str, _File]:
    """All files of the gallery, by name: a name in a request is never part of a path."""
    return {
        path.name: _File(data := path.read_bytes(), _TYPES[path.suffix], f'"{hashlib.sha256(data).hexdigest()[:32]}"')
        for path in _FOLDER.glob("*")
        if path.suffix in _TYPES
    }
