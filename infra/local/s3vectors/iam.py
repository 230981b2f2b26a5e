"""IAM for S3 Vectors, with the local AWS's policy evaluation, which its other services use, too."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from ministack import app as ministack_app
from ministack.core import iam_actions, iam_evaluator, responses, router

from infra.local.s3vectors.buckets import Scope
from infra.local.s3vectors.errors import AccessDeniedError, CredentialsError
from infra.local.s3vectors.references import Permission
from infra.local.s3vectors.service import Authorize, allow_all

_SERVICE = "s3vectors"


class Signed(NamedTuple):
    """The parts of a request that its signature covers.

    Attributes:
        method: of HTTP.
        raw_path: as sent, still encoded.
        query: the values of each parameter.
        headers: as sent.
        client: the caller's address.
        is_secure: whether it came over TLS.
    """

    method: str
    raw_path: str
    query: Mapping[str, list[str]]
    headers: Sequence[tuple[bytes, bytes]]
    client: str
    is_secure: bool


def is_enforced() -> bool:
    """Whether the local AWS was started to check policies."""
    return bool(ministack_app.AUTH)


def find_scope(signed: Signed) -> Scope:
    """The account and the region of a request; also set for the local AWS's code in this asyncio task.

    Raises:
        CredentialsError: two accounts own the access key.
    """
    headers = _headers(signed)
    key = router.extract_access_key_id(headers)
    if is_enforced():
        try:
            key = iam_evaluator.find_iam_access_key_account(key) or key
        except iam_evaluator.AmbiguousAccessKeyError:
            message = "The security token included in the request is invalid."
            raise _credentials_error("UnrecognizedClientException", message) from None
    responses.set_request_account_id(key)
    responses.set_request_region(router.extract_region(headers))
    return Scope(responses.get_account_id(), responses.get_region())


def authorizer(signed: Signed, body: bytes) -> Authorize:
    """The request attributes that determine its permissions.

    It verifies the signature with the first permission it is asked about. It must be made in the task that answers
    the request, since the local AWS keeps what it verifies in context variables.

    Args:
        signed: the request.
        body: all of it.
    """
    if not is_enforced():
        return allow_all
    iam_evaluator.pin_request_origin(signed.client, signed.is_secure)
    iam_evaluator.pin_signed_request(signed.method, signed.raw_path, signed.query, list(signed.headers))
    iam_evaluator.pin_signed_body(body)
    key = router.extract_access_key_id(_headers(signed))

    def authorize(permission: Permission) -> None:
        denied = iam_evaluator.enforce(
            key, permission.action, _SERVICE, responses.get_region(), resource_arn=permission.resource
        )
        if denied is not None:
            raise _refusal(denied, permission)

    return authorize


def _refusal(denied: Any, permission: Permission) -> AccessDeniedError | CredentialsError:  # noqa: ANN401 - untyped
    if isinstance(denied, iam_evaluator.AuthError):
        return _credentials_error(denied.code, denied.message)
    message = iam_actions.identity_denial_message(
        permission.action, denied.principal_arn, permission.resource, denied.decision == "Deny"
    )
    return AccessDeniedError(message)


def _credentials_error(code: str, message: str) -> CredentialsError:
    """The error in the form that the local AWS's other services with a JSON protocol use."""
    status, _, body = iam_actions.access_denied_response(_SERVICE, "", "", "", error_code=code, message=message)
    answered = orjson.loads(body)
    return CredentialsError(status, answered["__type"], answered["message"])


def _headers(signed: Signed) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in signed.headers}
