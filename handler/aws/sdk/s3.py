"""The calls of S3 that the function makes."""

import base64
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote_plus

from handler.aws.sdk.calls import Caller
from handler.aws.sdk.connections import Answer
from handler.aws.sdk.endpoints import Endpoints, is_region
from handler.aws.sdk.errors import AnswerError, ServiceError
from handler.aws.sdk.signing import Unsigned, encode

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# What S3 answers where a bucket is of another region than the request was signed for.
_ELSEWHERE = frozenset({301, 302, 307, 400})
_BUCKET_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a listing."""

    key: str
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing.

    Attributes:
        entries: by key, in UTF-8 order.
        next_token: asks for the next page; None on the last.
    """

    entries: tuple[Entry, ...]
    next_token: str | None


class ObjectAnswer:
    """What a GET of a key answered: its facts, and its bytes when they are read. To be closed.

    Attributes:
        size: bytes, None where S3 does not say.
        etag: in quotes, as S3 writes it; None where it does not say.
        version_id: None on an unversioned bucket.
    """

    def __init__(self, answer: Answer) -> None:
        self.size = answer.length
        self.etag = answer.header("etag")
        self.version_id = answer.header("x-amz-version-id")
        self._answer = answer

    def chunks(self, size: int) -> Iterator[bytes]:
        """All bytes, at most so many at once.

        Raises:
            NetworkError: they end too early.
            AnswerError: they are not those that were put: S3 keeps a checksum of most objects.
        """
        checksum = _checksum_of(self._answer)
        while chunk := self._answer.read(size):
            if checksum:
                checksum.update(chunk)
            yield chunk
        if checksum and not checksum.is_right():
            raise AnswerError("GetObject: the bytes are not those of S3's checksum")

    def read(self) -> bytes:
        """All bytes at once.

        Raises:
            SdkError: as `chunks`.
        """
        return b"".join(self.chunks(1 << 20))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answer.__exit__()


@dataclass(frozen=True, slots=True)
class S3:
    """S3, for buckets of any region of the partition; safe to use from several threads.

    Attributes:
        caller: sends.
        endpoints: where to.
        regions: of buckets that are not in the function's, as far as they have been met.
    """

    caller: Caller
    endpoints: Endpoints
    regions: dict[str, str] = field(default_factory=dict)

    def get_object(self, bucket: str, key: str) -> ObjectAnswer:
        """What the key holds.

        Raises:
            SdkError: it was not answered so.
        """
        request = Unsigned("GET", _path(key), (), {"x-amz-checksum-mode": "ENABLED"}, b"")
        return ObjectAnswer(self._call("GetObject", bucket, request))

    def put_object(self, bucket: str, key: str, body: bytes, content_type: str, *, if_absent: bool) -> None:
        """Write an object; with `if_absent` only where there is none (412 or 409 where there is).

        Raises:
            SdkError: it was not answered so.
        """
        headers = {
            "content-type": content_type,
            "x-amz-sdk-checksum-algorithm": "CRC32",
            "x-amz-checksum-crc32": base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode(),
        }
        if if_absent:
            headers["if-none-match"] = "*"
        self._call_through("PutObject", bucket, Unsigned("PUT", _path(key), (), headers, body))

    def delete_object(self, bucket: str, key: str) -> None:
        """Delete what the key holds, if it holds something.

        Raises:
            SdkError: it was not answered so.
        """
        self._call_through("DeleteObject", bucket, Unsigned("DELETE", _path(key), (), {}, b""))

    def list_objects(
        self, bucket: str, prefix: str, *, delimiter: str = "", max_keys: int = 1000, token: str | None = None
    ) -> Page:
        """A page of the keys that begin so, and hold no delimiter after that.

        Raises:
            SdkError: it was not answered so.
        """
        query = [("list-type", "2"), ("encoding-type", "url"), ("prefix", prefix), ("max-keys", str(max_keys))]
        query += [("delimiter", delimiter)] if delimiter else []
        query += [("continuation-token", token)] if token else []
        return _page(self._call_through("ListObjectsV2", bucket, Unsigned("GET", "", query, {}, b"")))

    def _call_through(self, operation: str, bucket: str, request: Unsigned) -> bytes:
        with self._call(operation, bucket, request) as answer:
            return answer.read()

    def _call(self, operation: str, bucket: str, request: Unsigned) -> Answer:
        """Call where the bucket is: S3 says so where it is not the function's region."""
        if len(bucket) < 3 or not _BUCKET_NAME.issuperset(bucket):
            raise ServiceError(operation, 400, "InvalidBucketName", "The specified bucket is not valid.", {})
        region = self.regions.get(bucket, self.endpoints.region)
        answer, error = self._try(operation, bucket, region, request)
        if error and error.status in _ELSEWHERE:
            told = answer.header("x-amz-bucket-region") or error.fields.get("Region") or region
            if told != region and is_region(told):
                self.regions[bucket] = told
                answer, error = self._try(operation, bucket, told, request)
        if error:
            raise error
        return answer

    def _try(self, operation: str, bucket: str, region: str, request: Unsigned) -> tuple[Answer, ServiceError | None]:
        answer = self.caller.send(self.endpoints.s3(bucket, region), request, service="s3", region=region)
        if 200 <= answer.status < 300:
            return answer, None
        with answer:
            return answer, _error(operation, answer.status, answer.read())


class _Checksum:
    """One of the checksums that S3 keeps, over bytes as they come."""

    def __init__(self, algorithm: str, expected: str) -> None:
        self._hash = None if algorithm == "crc32" else hashlib.new(algorithm, usedforsecurity=False)
        self._crc = 0
        self._expected = expected

    def update(self, chunk: bytes) -> None:
        if self._hash:
            self._hash.update(chunk)
        else:
            self._crc = zlib.crc32(chunk, self._crc)

    def is_right(self) -> bool:
        digest = self._hash.digest() if self._hash else self._crc.to_bytes(4, "big")
        return base64.b64encode(digest).decode() == self._expected


def _checksum_of(answer: Answer) -> _Checksum | None:
    """The checksum that came with an object: not CRC32C and CRC64NVME, which Python has not."""
    for algorithm in ("crc32", "sha1", "sha256"):
        expected = answer.header(f"x-amz-checksum-{algorithm}")
        if expected and "-" not in expected:  # of a multipart upload's parts, not of the whole
            return _Checksum(algorithm, expected)
    return None


def _path(key: str) -> str:
    return "/" + encode(key, safe="/")


def _error(operation: str, status: int, body: bytes) -> ServiceError:
    """Read `<Error><Code>…`; whatever else it is, the status says enough."""
    root = _parse(body)
    fields = {} if root is None or root.tag != "Error" else {field.tag: field.text or "" for field in root}
    return ServiceError(operation, status, fields.get("Code") or str(status), fields.get("Message", ""), fields)


def _page(body: bytes) -> Page:
    root = _parse(body)
    if root is None or root.tag != "ListBucketResult":
        raise AnswerError("ListObjectsV2: the answer is no listing")
    decode = unquote_plus if root.findtext("EncodingType") == "url" else str
    try:
        entries = tuple(
            Entry(decode(entry.findtext("Key", "")), entry.findtext("ETag", ""), int(entry.findtext("Size", "")))
            for entry in root.iter("Contents")
        )
    except ValueError:
        raise AnswerError("ListObjectsV2: an object has no size") from None
    return Page(entries, root.findtext("NextContinuationToken"))


def _parse(body: bytes) -> "Element | None":
    """XML without its namespaces; None where it is none."""
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - read on refusals and deletions only

    try:
        root = ET.fromstring(body)  # noqa: S314 - S3's; expat bounds what entities may unfold to
    except ET.ParseError:
        return None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root
