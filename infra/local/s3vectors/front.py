"""The local AWS's ASGI application with S3 Vectors added to its services."""

import re
from functools import cache
from typing import TYPE_CHECKING

from infra.local.s3vectors.asgi_types import App, Connection, Receive, Send

if TYPE_CHECKING:
    from infra.local.s3vectors.service import S3Vectors

# All services share one endpoint; the signature names the service.
_SIGNED_FOR = re.compile(rb"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/aws4_request")


def with_s3vectors(app: App) -> App:
    """An application that answers requests for S3 Vectors, and adds its resource types to CloudFormation.

    The modules for that are imported with the first request for S3 Vectors or CloudFormation: numpy and the handlers
    of CloudFormation take half a second to import, which is as long as the rest of the start.

    Args:
        app: answers everything else.
    """

    @cache
    def vectors() -> "S3Vectors":
        from infra.local.s3vectors.service import S3Vectors  # noqa: PLC0415 - see above

        return S3Vectors()

    @cache
    def register() -> None:
        from infra.local.s3vectors.cloudformation import register_resource_types  # noqa: PLC0415 - see above

        register_resource_types(vectors())

    async def application(connection: Connection, receive: Receive, send: Send) -> None:
        service = signed_for(connection)
        if service == b"s3vectors":
            from infra.local.s3vectors.asgi import answer  # noqa: PLC0415 - see above

            await answer(vectors(), connection, receive, send)
            return
        if service == b"cloudformation":
            register()
        await app(connection, receive, send)

    return application


def signed_for(connection: Connection) -> bytes:
    """The name of the service that an HTTP request is signed for; empty if it is not signed."""
    if connection["type"] != "http":
        return b""
    header: bytes = next((value for name, value in connection["headers"] if name.lower() == b"authorization"), b"")
    found = _SIGNED_FOR.search(header)
    return found[1] if found else b""
