"""S3 reads: what a key holds now, as bytes and facts, with the limits checked before a byte is read."""

from dataclasses import dataclass

from handler.aws.clients import attempt, translate
from handler.aws.sdk.errors import ServiceError
from handler.aws.sdk.s3 import S3, ObjectResponse
from handler.errors import MissingObjectError, RejectedError, Rejection, RetryableError
from handler.timing import Deadline

# As much is read between two looks at the clock.
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What a plain GET of a key answered.

    Attributes:
        etag: without quotes; None only where S3 refuses to say.
        version_id: None on an unversioned bucket, and for the `null` version, which an overwrite replaces.
        size: bytes, None only where S3 refuses to say.
        data: the bytes, or None when the object is refused.
        refusal: why it is refused for good, or None.
    """

    etag: str | None
    version_id: str | None
    size: int | None
    data: bytes | None
    refusal: RejectedError | None


def read_object(s3: S3, bucket: str, key: str, max_bytes: int, deadline: Deadline) -> StoredObject:
    """Read what the key holds now.

    Raises:
        MissingObjectError: it holds nothing.
        RetryableError: throttling, faults, time-outs, access denied.
    """
    try:
        return attempt(lambda: _get(s3, bucket, key, max_bytes, deadline), deadline)
    except ServiceError as error:
        return _refused(s3, bucket, key, error, deadline)


def _get(s3: S3, bucket: str, key: str, max_bytes: int, deadline: Deadline) -> StoredObject:
    with s3.get_object(bucket, key) as answer:
        size = answer.size
        if size is None or answer.etag is None:
            raise RetryableError("S3's answer came without its length or its ETag")
        if size > max_bytes:
            refusal = RejectedError(
                Rejection.TOO_MANY_BYTES, f"the object has {size} bytes, more than the {max_bytes} allowed"
            )
            return _stored(answer, None, refusal)
        data = _read(answer, deadline)
    if size == 0:
        return _stored(answer, None, RejectedError(Rejection.EMPTY_OBJECT, "the object has no bytes"))
    if len(data) != size:
        raise RetryableError(f"S3 sent {len(data)} of {size} bytes")
    return _stored(answer, data, None)


def _read(answer: ObjectResponse, deadline: Deadline) -> bytes:
    """Read it all, unless that takes longer than there is time: a time-out only sees a silence, not a trickle."""
    chunks = []
    for chunk in answer.chunks(_CHUNK_BYTES):
        if deadline.left() <= 0:
            raise RetryableError("S3 sends too slowly for the time that is left")
        chunks.append(chunk)
    return b"".join(chunks)


def _stored(answer: ObjectResponse, data: bytes | None, refusal: RejectedError | None) -> StoredObject:
    version = answer.version_id
    return StoredObject(
        etag=(answer.etag or "").strip('"'),
        version_id=None if version == "null" else version,
        size=answer.size,
        data=data,
        refusal=refusal,
    )


def _refused(s3: S3, bucket: str, key: str, error: ServiceError, deadline: Deadline) -> StoredObject:
    code = error.code
    if code in {"NoSuchKey", "NoSuchBucket", "InvalidBucketName", "KeyTooLongError", "404"}:
        raise MissingObjectError(f"s3://{bucket}/{key} holds nothing ({code})") from None
    if code == "InvalidObjectState":
        refusal = RejectedError(Rejection.ARCHIVED_OBJECT, "the object is archived; it is embedded once it is restored")
    elif code == "InvalidRequest" and "ncrypt" in error.message:
        refusal = RejectedError(
            Rejection.UNREADABLE_OBJECT, "the object is encrypted with a key of its owner's (SSE-C)"
        )
    else:
        raise RetryableError(str(error)[:300]) from error
    etag, size = _listed(s3, bucket, key, deadline)
    return StoredObject(etag=etag, version_id=None, size=size, data=None, refusal=refusal)


def _listed(s3: S3, bucket: str, key: str, deadline: Deadline) -> tuple[str | None, int | None]:
    """ETag and size of an object that may not be read: the listing names both, and the key itself comes first."""
    try:
        page = attempt(lambda: s3.list_objects(bucket, key, max_keys=1), deadline)
    except ServiceError as error:
        raise RetryableError(str(translate(error) or error)[:300]) from error
    for entry in page.entries:
        if entry.key == key:
            return entry.etag.strip('"'), entry.size
    raise MissingObjectError(f"s3://{bucket}/{key} holds nothing")
