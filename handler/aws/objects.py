"""Read what a key holds now: bytes and facts. The size is checked before the bytes are read."""

from handler.aws.retries import attempt, translate
from handler.aws.sdk.errors import ServiceError, TooManyHeadersError
from handler.aws.sdk.s3 import S3, ObjectResponse
from handler.errors import MissingObjectError, RejectedError, Rejection, RetryableError
from handler.frozen import frozen
from handler.sizes import check_size
from handler.timing import Deadline

# Read between two looks at the clock.
_CHUNK_BYTES = 1 << 20

_MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "InvalidBucketName", "KeyTooLongError", "404"})
_ARCHIVED, _INVALID = "InvalidObjectState", "InvalidRequest"


@frozen
class StoredObject:
    """The answer to a plain GET of a key.

    Attributes:
        etag: without quotes; None only where S3 does not say.
        version_id: None on an unversioned bucket, and for the `null` version, which an overwrite replaces.
        size: bytes; None only where S3 does not say.
        content: the bytes, or why the object is rejected unread.
    """

    etag: str | None
    version_id: str | None
    size: int | None
    content: bytes | RejectedError


def read_object(s3: S3, bucket: str, key: str, max_bytes: int, deadline: Deadline) -> StoredObject:
    """Read what the key holds now.

    Raises:
        MissingObjectError: there is no object.
        RetryableError: throttling, faults, time-outs, access denied.
    """
    try:
        return attempt(
            lambda: _get(s3, bucket, key, max_bytes, deadline), deadline, expected={*_MISSING, _ARCHIVED, _INVALID}
        )
    except ServiceError as error:
        if error.code in _MISSING:
            raise MissingObjectError(f"s3://{bucket}/{key} does not exist ({error.code})") from None
        rejection = _rejection(error)
    except RejectedError as error:
        rejection = error
    etag, size = _listed(s3, bucket, key, deadline)
    return StoredObject(etag, version_id=None, size=size, content=rejection)


def _get(s3: S3, bucket: str, key: str, max_bytes: int, deadline: Deadline) -> StoredObject:
    try:
        opened = s3.get_object(bucket, key)
    except TooManyHeadersError:
        raise RejectedError(
            Rejection.UNREADABLE_OBJECT, "the object has too much metadata: S3 answers with more than 100 headers"
        ) from None
    with opened as answer:
        size = answer.size
        if size is None or answer.etag is None:
            raise RetryableError("S3's answer has no length or no ETag")
        version = None if answer.version_id == "null" else answer.version_id
        content: bytes | RejectedError
        try:
            check_size(size, max_bytes)
            content = _read(answer, size, deadline)
        except RejectedError as rejection:
            content = rejection
    return StoredObject(answer.etag.strip('"'), version, size, content)


def _read(answer: ObjectResponse, size: int, deadline: Deadline) -> bytes:
    """Read all bytes, within the time that is left: a socket's time-out ends a silence, but not a slow download."""
    chunks = []
    for chunk in answer.chunks(_CHUNK_BYTES):
        if deadline.left() <= 0:
            raise RetryableError("S3 sends too slowly for the time that is left")
        chunks.append(chunk)
    data = b"".join(chunks)
    if len(data) != size:
        raise RetryableError(f"S3 sent {len(data)} of {size} bytes")
    return data


def _rejection(error: ServiceError) -> RejectedError:
    """Why S3 will never return an object's bytes as the object is now.

    Raises:
        RetryableError: the error has another reason.
    """
    if error.code == _ARCHIVED:
        return RejectedError(Rejection.ARCHIVED_OBJECT, "the object is archived; it is embedded after it is restored")
    if "ncrypt" in error.message:
        return RejectedError(Rejection.UNREADABLE_OBJECT, "the object is encrypted with its owner's own key (SSE-C)")
    raise translate(error) from None


def _listed(s3: S3, bucket: str, key: str, deadline: Deadline) -> tuple[str, int]:
    """ETag and size of an object that cannot be read: a listing has both, and begins with the key itself."""
    page = attempt(lambda: s3.list_objects(bucket, key, max_keys=1), deadline)
    for entry in page.entries:
        if entry.key == key:
            return entry.etag.strip('"'), entry.size
    raise MissingObjectError(f"s3://{bucket}/{key} does not exist")
