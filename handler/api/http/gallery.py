"""`GET /`: the gallery's page, which holds no data."""

import hashlib
from functools import cache
from pathlib import Path

from handler.api.http.call import Call
from handler.api.http.gallery_page import Document, join_page
from handler.api.http.response import HttpResponse
from handler.api.http.services import Services
from handler.errors import MissingObjectError

_FOLDER = Path(__file__).parents[1] / "gallery"


def page(services: Services, call: Call) -> HttpResponse:
    """The page. Its policy allows its own script and styles by their hashes, and pictures from the bucket.

    Raises:
        MissingObjectError: this installation has no page.
    """
    document = _document()
    data = document.html.encode()
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    policy = _policy(document, services.presigner.origin(services.scope.bucket))
    # The page is kept, and asked for again with its ETag.
    headers = {"content-security-policy": policy, "etag": etag, "cache-control": "no-cache"}
    is_known = call.request.headers.get("if-none-match") == etag
    return HttpResponse(304 if is_known else 200, b"" if is_known else data, "text/html; charset=utf-8", headers)


def _policy(document: Document, bucket: str) -> str:
    """The content security policy; `data:` is for the icon."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {document.script}",
            f"style-src {document.style}",
            f"img-src blob: data: {bucket}",
            f"connect-src 'self' {bucket}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        )
    )


@cache
def _document() -> Document:
    try:
        return join_page(_FOLDER)
    except FileNotFoundError:
        raise MissingObjectError("this installation has no gallery") from None
