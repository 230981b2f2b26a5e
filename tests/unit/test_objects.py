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
