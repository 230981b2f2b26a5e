"""S3 reads: what a key holds now, as bytes and facts, with the limits checked before a byte is read."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from handler.aws import attempt, error_code, translate
from handler.errors import MissingObjectError, RejectedError, Rejection, RetryableError
from handler.timing import Deadline

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef

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


def read_object(s3: "S3Client", bucket: str, key: str, max_bytes: int, deadline: Deadline) -> StoredObject:
    """Read what the key holds now.

    Raises:
        MissingObjectError: it holds nothing.
        RetryableError: throttling, faults, time-outs, access denied.
    """
    try:
        return attempt(lambda: _get(s3, bucket, key, max_bytes, deadline), deadline)
    except ClientError as error:
        return _refused(s3, bucket, key, error, deadline)


def _get(s3: "S3Client", bucket: str, key: str, max_bytes: int, deadline: Deadline) -> StoredObject:
    answer = s3.get_object(Bucket=bucket, Key=key)
    if "ContentLength" not in answer or "ETag" not in answer:
        raise RetryableError("S3's answer came without its length or its ETag")
    size = answer["ContentLength"]
    body = answer["Body"]
    with body:  # not `as`: that would be the stream below, without its checksum and the SDK's names of errors
        if size > max_bytes:
            refusal = RejectedError(
                Rejection.TOO_MANY_BYTES, f"the object has {size} bytes, more than the {max_bytes} allowed"
            )
            return _stored(answer, None, refusal)
        data = _read(body, deadline)
    if size == 0:
        return _stored(answer, None, RejectedError(Rejection.EMPTY_OBJECT, "the object has no bytes"))
    if len(data) != size:
        raise RetryableError(f"S3 sent {len(data)} of {size} bytes")
    return _stored(answer, data, None)


def _read(body: "StreamingBody", deadline: Deadline) -> bytes:
    """Read it all, unless that takes longer than there is time: a time-out only sees a silence, not a trickle."""
    chunks = []
    for chunk in body.iter_chunks(_CHUNK_BYTES):
        if deadline.left() <= 0:
            raise RetryableError("S3 sends too slowly for the time that is left")
        chunks.append(chunk)
    return b"".join(chunks)


def _stored(answer: "GetObjectOutputTypeDef", data: bytes | None, refusal: RejectedError | None) -> StoredObject:
    version = answer.get("VersionId")
    return StoredObject(
        etag=answer["ETag"].strip('"'),
        version_id=None if version == "null" else version,
        size=answer["ContentLength"],
        data=data,
        refusal=refusal,
    )


def _refused(s3: "S3Client", bucket: str, key: str, error: ClientError, deadline: Deadline) -> StoredObject:
    code = error_code(error)
    message = error.response.get("Error", {}).get("Message", "")
    if code in {"NoSuchKey", "NoSuchBucket", "InvalidBucketName", "KeyTooLongError", "404"}:
        raise MissingObjectError(f"s3://{bucket}/{key} holds nothing ({code})") from None
    if code == "InvalidObjectState":
        refusal = RejectedError(Rejection.ARCHIVED_OBJECT, "the object is archived; it is embedded once it is restored")
    elif code == "InvalidRequest" and "ncrypt" in message:
        refusal = RejectedError(
            Rejection.UNREADABLE_OBJECT, "the object is encrypted with a key of its owner's (SSE-C)"
        )
    else:
        raise RetryableError(f"GetObject: {code}: {message}"[:300]) from error
    etag, size = _listed(s3, bucket, key, deadline)
    return StoredObject(etag=etag, version_id=None, size=size, data=None, refusal=refusal)


def _listed(s3: "S3Client", bucket: str, key: str, deadline: Deadline) -> tuple[str | None, int | None]:
    """ETag and size of an object that may not be read: the listing names both, and the key itself comes first."""
    try:
        answer = attempt(lambda: s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1), deadline)
    except ClientError as error:
        raise RetryableError(str(translate(error) or error)[:300]) from error
    for entry in answer.get("Contents", []):
        if entry.get("Key") == key:
            return entry["ETag"].strip('"'), entry["Size"]
    raise MissingObjectError(f"s3://{bucket}/{key} holds nothing")
