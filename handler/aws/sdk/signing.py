"""Signature Version 4 of a request.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote

ALGORITHM = "AWS4-HMAC-SHA256"

Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request is signed with.

    Attributes:
        access_key: names the secret.
        secret_key: never sent.
        token: of a role's session, None for a user's keys.
    """

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A request before it is signed.

    Attributes:
        method: of HTTP.
        path: as it is sent, encoded once, with no segment resolved: what S3 signs. Other services encode it once
            more, which makes no difference to `/`.
        query: names and values, not encoded.
        headers: with lower-case names, `host` among them.
        body: all of it.
    """

    method: str
    path: str
    query: Query
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Scope:
    """What a signature is good for.

    Attributes:
        region: where the request is served.
        service: as AWS signs it, such as `s3`.
        moment: seconds since 1970; the signature is good for some minutes.
    """

    region: str
    service: str
    moment: float

    @property
    def timestamp(self) -> str:
        """The moment as `20260102T030405Z`."""
        return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.moment))

    @property
    def path(self) -> str:
        """The scope as it is signed."""
        return f"{self.timestamp[:8]}/{self.region}/{self.service}/aws4_request"


def encode(text: str, safe: str = "") -> str:
    """Percent-encode UTF-8 as AWS does: all but A-Z a-z 0-9 - . _ ~ and what is given as safe."""
    return quote(text, safe=safe)


def encode_query(query: Query) -> str:
    """A query string in the order in which it is signed; it is sent in the same."""
    return "&".join(f"{name}={value}" for name, value in sorted((encode(name), encode(value)) for name, value in query))


def signed_headers(request: Unsigned, credentials: Credentials, scope: Scope) -> dict[str, str]:
    """The headers to send a request with."""
    digest = hashlib.sha256(request.body).hexdigest()
    headers = {**request.headers, "x-amz-content-sha256": digest, "x-amz-date": scope.timestamp}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    return {**headers, "authorization": authorization(replace(request, headers=headers), digest, credentials, scope)}


def authorization(request: Unsigned, digest: str, credentials: Credentials, scope: Scope) -> str:
    """The `Authorization` header; every header of the request is signed.

    Args:
        request: with all its headers, the date among them.
        digest: SHA-256 of the body, hex.
        credentials: whose request this is.
        scope: where and when.
    """
    names = ";".join(sorted(request.headers))
    lines = [f"{name}:{' '.join(value.split())}" for name, value in sorted(request.headers.items())]
    canonical = "\n".join([request.method, request.path, encode_query(request.query), *lines, "", names, digest])
    signed = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.path.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, f"{ALGORITHM}\n{scope.timestamp}\n{scope.path}\n{signed}".encode(), "sha256").hex()
    return f"{ALGORITHM} Credential={credentials.access_key}/{scope.path}, SignedHeaders={names}, Signature={signature}"
