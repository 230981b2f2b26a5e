"""Objects that S3 does not return: a permanent reason is recorded, any other is retried."""

import pytest

from handler.outcomes import Status
from tests.support.loopback_aws import Request, Response
from tests.support.pictures import encoded, picture
from tests.unit.conftest import World

PHOTO = encoded(picture())


# Errors of S3, with status 400 or 403, for objects that it does not return.
REFUSED = {
    "InvalidRequest": (
        "The object was stored using a form of Server Side Encryption. The correct parameters must be provided.",
        "unreadable_object",
    ),
    "InvalidObjectState": ("The operation is not valid for the object's storage class", "archived_object"),
    "KMS.DisabledException": ("The key is disabled.", "access_denied"),
    "AccessDenied": ("Access Denied", "access_denied"),
}


@pytest.mark.parametrize("code", REFUSED)
def test_object_that_s3_does_not_return(world: World, code: str) -> None:
    message, expected = REFUSED[code]
    etag = world.put("a", PHOTO)

    def refuse(request: Request) -> Response | None:
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        return Response(400, body=body) if request.operation == "GetObject" else None

    with world.state.server.answering(refuse):
        outcome = world.process("a")
    assert outcome.error is not None
    assert outcome.error.code == expected
    if outcome.error.retryable:
        assert (outcome.status, world.item("a")) == (Status.FAILED, {})
    else:
        item = world.item("a")
        assert (item["error_code"], item["etag"], item["bytes"]) == (expected, etag, str(len(PHOTO)))


@pytest.mark.parametrize("entries", [80, 150])
def test_an_object_with_too_much_metadata_is_rejected(world: World, entries: int) -> None:
    """S3 sends a header for each entry. Its limit of 2 KB of metadata allows several hundred."""
    etag = world.put("a", PHOTO)
    metadata = {f"x-amz-meta-{number}": "x" for number in range(entries)}

    def add_metadata(request: Request) -> Response | None:
        if request.operation != "GetObject":
            return None
        headers = {"etag": f'"{etag}"', "content-length": str(len(PHOTO)), **metadata}
        return Response(200, headers, PHOTO)

    with world.state.server.answering(add_metadata):
        outcome = world.process("a")
    item = world.item("a")
    assert item["etag"] == etag
    if entries < 100:
        assert (outcome.status, outcome.error) == (Status.SUCCESS, None)
    else:
        assert outcome.status is Status.REJECTED
        assert (item["error_code"], item["bytes"]) == ("unreadable_object", str(len(PHOTO)))
