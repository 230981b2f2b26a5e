"""AWS Signature Version 4.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from urllib.parse import quote

from handler.frozen import frozen

ALGORITHM = "AWS4-HMAC-SHA256"

Query = Sequence[tuple[str, str]]


@frozen
class Credentials:
    """The credentials that sign a request.

    Attributes:
        access_key: access key id.
        secret_key: secret access key, which is never sent.
        token: session token of a role; None for a user's keys.
    """

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)


@frozen
class UnsignedRequest:
    """A request before it is signed.

    Attributes:
        method: HTTP method.
        path: percent-encoded once, dot segments not resolved: S3 signs the path in this form. Other services encode it
            a second time, but their paths here, such as `/` and `/PutVectors`, stay the same.
        query: names and values, not encoded.
        headers: with lower-case names, including `host`.
        body: the whole body.
    """

    method: str
    path: str
    query: Query
    headers: Mapping[str, str]
    body: bytes


@frozen
class CredentialScope:
    """The scope in which a signature is valid.

    Attributes:
        region: the region that serves the request.
        service: the service's name in signatures, for example `s3`.
        unix_time: time of the signature, in seconds since 1970; it is valid for some minutes.
    """

    region: str
    service: str
    unix_time: float

    @property
    def timestamp(self) -> str:
        """The time in the format `20260102T030405Z`."""
        return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.unix_time))

    @property
    def path(self) -> str:
        """The scope in the format of signatures."""
        return f"{self.timestamp[:8]}/{self.region}/{self.service}/aws4_request"


def percent_encode(text: str, safe: str = "") -> str:
    """Percent-encode UTF-8 as AWS does: all characters except A-Z a-z 0-9 - . _ ~ and the safe ones."""
    return quote(text, safe=safe)


def encode_query(query: Query) -> str:
    """The query string, sorted as in the signature."""
    return "&".join(
        f"{name}={value}"
        for name, value in sorted((percent_encode(name), percent_encode(value)) for name, value in query)
    )


def signed_headers(request: UnsignedRequest, credentials: Credentials, scope: CredentialScope) -> dict[str, str]:
    """The headers of the signed request."""
    digest = hashlib.sha256(request.body).hexdigest()
    headers = {**request.headers, "x-amz-content-sha256": digest, "x-amz-date": scope.timestamp}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    authorization = authorization_header(replace(request, headers=headers), digest, credentials, scope)
    return {**headers, "authorization": authorization}


def authorization_header(
    request: UnsignedRequest, digest: str, credentials: Credentials, scope: CredentialScope
) -> str:
    """The value of the `Authorization` header; it signs every header of the request.

    Args:
        request: the request with all headers, including the date.
        digest: SHA-256 of the body, hex.
        credentials: the credentials that sign the request.
        scope: region, service and time.
    """
    names = signed_names(request)
    signature = sign(canonical_request(request, digest), credentials, scope)
    return f"{ALGORITHM} Credential={credentials.access_key}/{scope.path}, SignedHeaders={names}, Signature={signature}"


def signed_names(request: UnsignedRequest) -> str:
    """The names of the headers that a signature covers: all of them."""
    return ";".join(sorted(request.headers))


def canonical_request(request: UnsignedRequest, digest: str) -> str:
    """The text of a request that is signed; `digest` as in `authorization_header`."""
    lines = [f"{name}:{' '.join(value.split())}" for name, value in sorted(request.headers.items())]
    return "\n".join(
        [request.method, request.path, encode_query(request.query), *lines, "", signed_names(request), digest]
    )


def sign(canonical: str, credentials: Credentials, scope: CredentialScope) -> str:
    """The signature of a canonical request, hex."""
    signed = hashlib.sha256(canonical.encode()).hexdigest()
    return signature_of(f"{ALGORITHM}\n{scope.timestamp}\n{scope.path}\n{signed}", credentials, scope)


def signature_of(text: str, credentials: Credentials, scope: CredentialScope) -> str:
    """The signature of any text, hex, with the key that is derived for a scope."""
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.path.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()
