"""Objects of buckets in other regions, with S3's own host names: no custom endpoint."""

import http.client
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from handler.aws.objects import read_object
from handler.aws.sdk.connections import Connections, HttpResponse
from handler.aws.sdk.endpoints import Endpoint, read_endpoints
from handler.aws.sdk.s3 import S3
from handler.aws.sdk.signed_client import SignedClient
from handler.aws.sdk.signing import Credentials
from handler.timing import Deadline

HEADER = "x-amz-bucket-region: eu-north-1"
# What S3 answers where a bucket is in another region than the request was sent to or signed for.
ANSWERS = {
    "permanent redirect": ("301 Moved Permanently", HEADER, "<Code>PermanentRedirect</Code>"),
    "temporary redirect of a new bucket": ("307 Temporary Redirect", HEADER, "<Code>TemporaryRedirect</Code>"),
    "signed for another region": (
        "400 Bad Request",
        "content-type: application/xml",
        "<Code>AuthorizationHeaderMalformed</Code><Region>eu-north-1</Region>",
    ),
    "a region to opt in": ("400 Bad Request", HEADER, "<Code>IllegalLocationConstraintException</Code>"),
}


@dataclass
class Regions:
    """In place of connections: S3's hosts, of which only eu-north-1 has the bucket.

    Attributes:
        answer: status line, header and error of every other region.
        sent: host, path and signed region of each request.
    """

    answer: tuple[str, str, str]
    sent: list[tuple[str, str, str]] = field(default_factory=list)

    def send(self, endpoint: Endpoint, method: str, target: str, headers: Mapping[str, str], _: bytes) -> HttpResponse:
        signed = headers["authorization"].partition("Credential=")[2].split("/")[2]
        self.sent.append((endpoint.host, target, signed))
        status, header, error = self.answer
        lines = [f"HTTP/1.1 {status}", header, f"content-length: {len(error) + 15}", "", f"<Error>{error}</Error>"]
        if ".eu-north-1." in f".{endpoint.host}" and signed == "eu-north-1":
            lines = ["HTTP/1.1 200 OK", 'etag: "e"', "content-length: 5", "", "bytes"]
        response = http.client.HTTPResponse(cast("Any", Wire("\r\n".join(lines).encode())), method=method)
        response.begin()
        return HttpResponse(response, http.client.HTTPConnection(endpoint.host), lambda _: None)


@dataclass(frozen=True)
class Wire:
    data: bytes

    def makefile(self, _: str) -> io.BytesIO:
        return io.BytesIO(self.data)


def client(regions: Regions) -> S3:
    def credentials() -> Credentials:
        return Credentials("id", "secret", None)

    signed = SignedClient(cast("Connections", regions), cast("Any", credentials))
    return S3(signed, read_endpoints({"AWS_REGION": "us-east-1"}))


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize(
    ("bucket", "hosts", "path"),
    [
        ("far", ["far.s3.us-east-1.amazonaws.com", "far.s3.eu-north-1.amazonaws.com"], "/a%20b.jpg"),
        ("far.dots", ["s3.us-east-1.amazonaws.com", "s3.eu-north-1.amazonaws.com"], "/far.dots/a%20b.jpg"),
    ],
)
def test_an_object_of_another_region_is_read(
    answer: tuple[str, str, str], bucket: str, hosts: list[str], path: str
) -> None:
    regions = Regions(answer)
    s3 = client(regions)
    for _ in range(2):
        stored = read_object(s3, bucket, "a b.jpg", 100, Deadline(30))
        assert (stored.content, stored.etag) == (b"bytes", "e")
    here, there = [(host, path, host.split(".")[-3]) for host in hosts]
    assert regions.sent == [here, there, there], "the second read goes there at once"
