"""What S3 will not give: recorded where that is for good, handed back where somebody may change it."""

import pytest

from handler.outcomes import Status
from tests.support.loopback_aws import Request, Response
from tests.support.pictures import encoded, picture
from tests.unit.conftest import World

PHOTO = encoded(picture())


# What S3 says, with status 400 or 403, of objects that it will not give.
KEPT = {
    "InvalidRequest": (
        "The object was stored using a form of Server Side Encryption. The correct parameters must be provided.",
        "unreadable_object",
    ),
    "InvalidObjectState": ("The operation is not valid for the object's storage class", "archived_object"),
    "KMS.DisabledException": ("The key is disabled.", "access_denied"),
    "AccessDenied": ("Access Denied", "access_denied"),
}


@pytest.mark.parametrize("code", KEPT)
def test_object_that_s3_keeps_to_itself(world: World, code: str) -> None:
    message, told = KEPT[code]
    etag = world.put("a", PHOTO)

    def refuse(request: Request) -> Response | None:
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        return Response(400, body=body) if request.operation == "GetObject" else None

    with world.state.server.answering(refuse):
        outcome = world.process("a")
    assert outcome.error is not None
    assert outcome.error.code == told
    if outcome.error.retryable:
        assert (outcome.status, world.item("a")) == (Status.FAILED, {})
    else:
        item = world.item("a")
        assert (item["error_code"], item["etag"], item["bytes"]) == (told, etag, str(len(PHOTO)))
