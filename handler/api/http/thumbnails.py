"""`GET /thumbnails`: a small picture, made when it is asked for, and kept by the browser."""

import hashlib

from handler.api.http.call import Call
from handler.api.http.items import visible_item
from handler.api.http.response import HttpResponse
from handler.api.http.scope import missing
from handler.api.http.services import Services
from handler.aws.objects import StoredObject, read_object
from handler.aws.retries import attempt
from handler.errors import AccessDeniedError, RejectedError
from handler.results.item import read_item
from handler.timing import Deadline

QUALITY = 80
MAX_AGE_SECONDS = 300
_VERSION = "1"  # of how thumbnails are made; another one ends what browsers keep


def thumbnail(services: Services, call: Call) -> HttpResponse:
    """A JPEG whose longest side has at most `size` pixels.

    Raises:
        MissingObjectError: the object has no item, is outside the scope, or was deleted.
        RejectedError: it is not a picture that dropvec reads.
        RetryableError: S3 or DynamoDB failed.
    """
    source, side = call.parameters["source"], int(call.parameters["size"])
    item = read_item(visible_item(services, source, call.deadline))
    tag = _tag(item.etag, side)
    if _is_known(tag, call.request.headers.get("if-none-match", "")):
        return HttpResponse(304, media_type="image/jpeg", headers=_caching(tag))
    found = _read(services, source, call.deadline)
    if isinstance(found.content, RejectedError):
        raise found.content
    from handler.images.thumbnail import make_thumbnail  # noqa: PLC0415 - Pillow is slow to import

    jpeg = make_thumbnail(found.content, services.limits.max_pixels, side, QUALITY)
    return HttpResponse(200, jpeg, "image/jpeg", _caching(_tag(found.etag, side)))


def _read(services: Services, source: str, deadline: Deadline) -> StoredObject:
    """Read an object; if S3 denies it, find out whether that is because it is missing.

    S3 answers 403 for a missing key, because the role may list only below the prefix, and a GET does not say a prefix.
    """
    bucket, key = services.scope.bucket, services.scope.key_of(source)
    try:
        return read_object(services.s3, bucket, key, services.limits.max_bytes, deadline)
    except AccessDeniedError:
        page = attempt(lambda: services.s3.list_objects(bucket, key, max_keys=1), deadline)
        if any(entry.key == key for entry in page.entries):
            raise
        raise missing(source) from None


def _tag(etag: str | None, side: int) -> str:
    return '"' + hashlib.sha256(f"{_VERSION} {etag} {side}".encode()).hexdigest()[:32] + '"'


def _is_known(tag: str, if_none_match: str) -> bool:
    return any(part.strip().removeprefix("W/") in {tag, "*"} for part in if_none_match.split(","))


def _caching(tag: str) -> dict[str, str]:
    return {"etag": tag, "cache-control": f"private, max-age={MAX_AGE_SECONDS}", "vary": "authorization"}
