"""URLs and forms with which a browser reads or writes one object of S3 without credentials.

Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

from handler.aws.sdk.credentials import CredentialsProvider
from handler.aws.sdk.endpoints import Endpoint, EndpointResolver
from handler.aws.sdk.signing import (
    ALGORITHM,
    Credentials,
    CredentialScope,
    Query,
    UnsignedRequest,
    canonical_request,
    encode_query,
    percent_encode,
    sign,
    signature_of,
)
from handler.frozen import frozen

_UNSIGNED = "UNSIGNED-PAYLOAD"


@frozen
class PresignedPost:
    """A form for an upload.

    Attributes:
        url: where to send it.
        fields: of the form, all before the field `file`.
    """

    url: str
    fields: dict[str, str]


@frozen
class Presigner:
    """Signs for objects of buckets in the function's region.

    A signature also ends when the credentials end with which it was made.

    Attributes:
        endpoints: resolves endpoints.
        credentials: those that sign.
        clock: seconds since 1970.
    """

    endpoints: EndpointResolver
    credentials: CredentialsProvider
    clock: Callable[[], float] = time.time

    def get(self, bucket: str, key: str, seconds: int, overrides: Query = ()) -> str:
        """A URL that reads an object.

        Args:
            bucket: its name.
            key: of the object.
            seconds: how long it is valid.
            overrides: headers of the response, such as `("response-content-type", "image/png")`.

        Raises:
            CredentialsError: there are no credentials.
        """
        endpoint, credentials, scope = self._signer(bucket)
        path = f"{endpoint.path}/{percent_encode(key, safe='/')}"
        query = [
            *overrides,
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", f"{credentials.access_key}/{scope.path}"),
            ("X-Amz-Date", scope.timestamp),
            ("X-Amz-Expires", str(seconds)),
            ("X-Amz-SignedHeaders", "host"),
            *([("X-Amz-Security-Token", credentials.token)] if credentials.token else []),
        ]
        request = UnsignedRequest("GET", path, query, {"host": endpoint.authority}, b"")
        signature = sign(canonical_request(request, _UNSIGNED), credentials, scope)
        return f"{_url(endpoint)}{path}?{encode_query(query)}&X-Amz-Signature={signature}"

    def post(self, bucket: str, key: str, content_type: str, max_bytes: int, seconds: int) -> PresignedPost:
        """A form that writes one object, of this key and content type and at most so many bytes.

        Raises:
            CredentialsError: there are no credentials.
        """
        endpoint, credentials, scope = self._signer(bucket)
        signed = {
            "x-amz-algorithm": ALGORITHM,
            "x-amz-credential": f"{credentials.access_key}/{scope.path}",
            "x-amz-date": scope.timestamp,
            **({"x-amz-security-token": credentials.token} if credentials.token else {}),
        }
        conditions: list[Any] = [
            {"Content-Type": content_type},
            ["content-length-range", 1, max_bytes],
            {"bucket": bucket},
            {"key": key},
            *({name: value} for name, value in signed.items()),
        ]
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(scope.unix_time + seconds))
        policy = base64.b64encode(json.dumps({"expiration": ends, "conditions": conditions}).encode()).decode()
        fields = {"Content-Type": content_type, "key": key, **signed, "policy": policy}
        fields["x-amz-signature"] = signature_of(policy, credentials, scope)
        return PresignedPost(f"{_url(endpoint)}{endpoint.path or '/'}", fields)

    def origin(self, bucket: str) -> str:
        """Scheme and host of a bucket's URLs."""
        return _url(self.endpoints.s3(bucket, self.endpoints.region))

    def _signer(self, bucket: str) -> tuple[Endpoint, Credentials, CredentialScope]:
        region = self.endpoints.region
        return self.endpoints.s3(bucket, region), self.credentials(), CredentialScope(region, "s3", self.clock())


def _url(endpoint: Endpoint) -> str:
    return f"{endpoint.scheme}://{endpoint.authority}"
