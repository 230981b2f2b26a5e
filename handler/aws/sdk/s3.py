"""The operations of S3 that the function uses."""

import base64
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote_plus

from handler.aws.sdk.connections import HttpResponse
from handler.aws.sdk.endpoints import EndpointResolver, is_region
from handler.aws.sdk.errors import InvalidResponseError, ServiceError
from handler.aws.sdk.signed_client import SignedClient
from handler.aws.sdk.signing import UnsignedRequest, percent_encode
from handler.frozen import frozen

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

# Statuses that S3 returns if the bucket is in another region than the one in the signature.
_OTHER_REGION = frozenset({301, 302, 307, 400})
_METADATA = "x-amz-meta-"
_BUCKET_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_")


@frozen
class ListedObject:
    """An object in a listing."""

    key: str
    etag: str
    size: int


@frozen
class ListPage:
    """A page of a listing.

    Attributes:
        entries: sorted by key, in UTF-8 order.
        next_token: continuation token of the next page; None on the last page.
    """

    entries: tuple[ListedObject, ...]
    next_token: str | None


@frozen
class ObjectHead:
    """What an object is.

    Attributes:
        etag: without quotes.
        metadata: user metadata, with lower-case names.
    """

    etag: str
    metadata: Mapping[str, str]


class ObjectResponse:
    """The response of GetObject; the object's bytes are read on demand. Use it as a context manager.

    Attributes:
        size: size in bytes; None if the response has no valid `Content-Length`.
        etag: in quotes, as S3 sends it; None if the response has none.
        version_id: None in an unversioned bucket.
    """

    def __init__(self, response: HttpResponse) -> None:
        self.size = response.length
        self.etag = response.header("etag")
        self.version_id = response.header("x-amz-version-id")
        self._response = response

    def chunks(self, size: int) -> Iterator[bytes]:
        """The object's bytes, in chunks of at most `size` bytes.

        Raises:
            NetworkError: the body is incomplete.
            InvalidResponseError: the bytes do not match S3's checksum, which most objects have.
        """
        checksum = _checksum_of(self._response)
        while chunk := self._response.read(size):
            if checksum:
                checksum.update(chunk)
            yield chunk
        if checksum and not checksum.matches():
            raise InvalidResponseError("GetObject: the body does not match its checksum")

    def read(self) -> bytes:
        """All bytes of the object.

        Raises:
            SdkError: see `chunks`.
        """
        return b"".join(self.chunks(1 << 20))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.__exit__()


@frozen
class S3:
    """S3, for buckets in every region of the partition; thread-safe.

    Attributes:
        client: signs and sends requests.
        endpoints: resolves endpoints.
        regions: the known regions of buckets outside the function's region.
    """

    client: SignedClient
    endpoints: EndpointResolver
    regions: dict[str, str] = field(default_factory=dict)

    def get_object(self, bucket: str, key: str) -> ObjectResponse:
        """The current object at a key.

        Raises:
            SdkError: the call failed.
        """
        request = UnsignedRequest("GET", _path(key), (), {"x-amz-checksum-mode": "ENABLED"}, b"")
        return ObjectResponse(self._call("GetObject", bucket, request))

    def head_object(self, bucket: str, key: str) -> ObjectHead:
        """What the current object at a key is, without its bytes.

        Raises:
            SdkError: the call failed; the response of a HEAD has no body, so the code is the HTTP status.
        """
        with self._call("HeadObject", bucket, UnsignedRequest("HEAD", _path(key), (), {}, b"")) as response:
            return ObjectHead((response.header("etag") or "").strip('"'), response.headers(_METADATA))

    def put_object(self, bucket: str, key: str, body: bytes, content_type: str, *, if_absent: bool) -> None:
        """Write an object; with `if_absent`, fail with status 412 or 409 if the key has an object.

        Raises:
            SdkError: the call failed.
        """
        self._put(bucket, key, body, {"content-type": content_type} | ({"if-none-match": "*"} if if_absent else {}))

    def put_with_metadata(
        self, bucket: str, key: str, body: bytes, content_type: str, metadata: Mapping[str, str]
    ) -> None:
        """Write an object with user metadata: ASCII, with lower-case names.

        Raises:
            SdkError: the call failed.
        """
        named = {f"{_METADATA}{name}": value for name, value in metadata.items()}
        self._put(bucket, key, body, {"content-type": content_type, **named})

    def _put(self, bucket: str, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        headers = {
            **headers,
            "x-amz-sdk-checksum-algorithm": "CRC32",
            "x-amz-checksum-crc32": base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode(),
        }
        self._call_and_read("PutObject", bucket, UnsignedRequest("PUT", _path(key), (), headers, body))

    def delete_object(self, bucket: str, key: str) -> None:
        """Delete the object at a key, if there is one.

        Raises:
            SdkError: the call failed.
        """
        self._call_and_read("DeleteObject", bucket, UnsignedRequest("DELETE", _path(key), (), {}, b""))

    def list_objects(
        self, bucket: str, prefix: str, *, delimiter: str = "", max_keys: int = 1000, token: str | None = None
    ) -> ListPage:
        """A page of the objects whose key starts with the prefix and has no delimiter after it.

        Raises:
            SdkError: the call failed.
        """
        optional = {"delimiter": delimiter, "continuation-token": token}
        return self._list(bucket, prefix, max_keys, optional)

    def list_after(self, bucket: str, prefix: str, start_after: str, max_keys: int) -> ListPage:
        """A page of the objects whose key starts with the prefix and is behind another key, which need not exist.

        Raises:
            SdkError: the call failed.
        """
        return self._list(bucket, prefix, max_keys, {"start-after": start_after})

    def _list(self, bucket: str, prefix: str, max_keys: int, optional: Mapping[str, str | None]) -> ListPage:
        query = [("list-type", "2"), ("encoding-type", "url"), ("prefix", prefix), ("max-keys", str(max_keys))]
        query += [(name, value) for name, value in optional.items() if value]
        return _page(self._call_and_read("ListObjectsV2", bucket, UnsignedRequest("GET", "", query, {}, b"")))

    def _call_and_read(self, operation: str, bucket: str, request: UnsignedRequest) -> bytes:
        with self._call(operation, bucket, request) as response:
            return response.read()

    def _call(self, operation: str, bucket: str, request: UnsignedRequest) -> HttpResponse:
        """Call the region of the bucket; S3 reports it if it is not the function's region."""
        if len(bucket) < 3 or not _BUCKET_NAME.issuperset(bucket):
            raise ServiceError(operation, 400, "InvalidBucketName", "The specified bucket is not valid.", {})
        region = self.regions.get(bucket, self.endpoints.region)
        response, error = self._call_region(operation, bucket, region, request)
        if error and error.status in _OTHER_REGION:
            reported = response.header("x-amz-bucket-region") or error.fields.get("Region") or region
            if reported != region and is_region(reported):
                self.regions[bucket] = reported
                response, error = self._call_region(operation, bucket, reported, request)
        if error:
            raise error
        return response

    def _call_region(
        self, operation: str, bucket: str, region: str, request: UnsignedRequest
    ) -> tuple[HttpResponse, ServiceError | None]:
        response = self.client.send(self.endpoints.s3(bucket, region), request, service="s3", region=region)
        if 200 <= response.status < 300:
            return response, None
        with response:
            return response, _error(operation, response.status, response.read())


class _Checksum:
    """One of S3's checksums, computed incrementally."""

    def __init__(self, algorithm: str, expected: str) -> None:
        self._hash = None if algorithm == "crc32" else hashlib.new(algorithm, usedforsecurity=False)
        self._crc = 0
        self._expected = expected

    def update(self, chunk: bytes) -> None:
        if self._hash:
            self._hash.update(chunk)
        else:
            self._crc = zlib.crc32(chunk, self._crc)

    def matches(self) -> bool:
        digest = self._hash.digest() if self._hash else self._crc.to_bytes(4, "big")
        return base64.b64encode(digest).decode() == self._expected


def _checksum_of(response: HttpResponse) -> _Checksum | None:
    """The checksum in a response; None for CRC32C and CRC64NVME, which Python's standard library does not have."""
    for algorithm in ("crc32", "sha1", "sha256"):
        expected = response.header(f"x-amz-checksum-{algorithm}")
        if expected and "-" not in expected:  # otherwise it is a checksum of the parts of a multipart upload
            return _Checksum(algorithm, expected)
    return None


def _path(key: str) -> str:
    return "/" + percent_encode(key, safe="/")


def _error(operation: str, status: int, body: bytes) -> ServiceError:
    """Read `<Error><Code>…`; without it, the code is the HTTP status."""
    root = _parse(body)
    fields = {} if root is None or root.tag != "Error" else {child.tag: child.text or "" for child in root}
    return ServiceError(operation, status, fields.get("Code") or str(status), fields.get("Message", ""), fields)


def _page(body: bytes) -> ListPage:
    root = _parse(body)
    if root is None or root.tag != "ListBucketResult":
        raise InvalidResponseError("ListObjectsV2: the response is not a listing")
    decode = unquote_plus if root.findtext("EncodingType") == "url" else str
    try:
        entries = tuple(
            ListedObject(decode(entry.findtext("Key", "")), entry.findtext("ETag", ""), int(entry.findtext("Size", "")))
            for entry in root.iter("Contents")
        )
    except ValueError:
        raise InvalidResponseError("ListObjectsV2: an object has no valid size") from None
    return ListPage(entries, root.findtext("NextContinuationToken"))


def _parse(body: bytes) -> "Element | None":
    """Parse XML and remove namespaces; None if it is not XML."""
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - needed for errors and listings only

    try:
        root = ET.fromstring(body)  # noqa: S314 - from S3; expat limits the expansion of entities
    except ET.ParseError:
        return None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root
