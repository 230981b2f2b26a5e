"""Whose requests these are: the environment's credentials, as in Lambda; elsewhere whatever botocore finds."""

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from handler.aws.sdk.errors import CredentialsError
from handler.aws.sdk.signing import Credentials

if TYPE_CHECKING:
    from botocore.credentials import Credentials as BotocoreCredentials


class CredentialsSource:
    """Gives the credentials of the moment: they are looked up for each request, since they expire."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._lock = threading.Lock()
        self._resolved: BotocoreCredentials | None = None

    def __call__(self) -> Credentials:
        """Look them up.

        Raises:
            CredentialsError: there are none, or they cannot be had.
        """
        return from_environment(self._environment) or self._from_botocore()

    def _from_botocore(self) -> Credentials:
        """Profiles, single sign-on, container and instance roles; botocore renews what is about to expire."""
        try:
            from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - costs as much as the model's session
        except ImportError:
            raise CredentialsError(
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set; set them, or install botocore, which looks "
                "for credentials elsewhere too"
            ) from None
        try:
            with self._lock:
                self._resolved = self._resolved or resolve()
            found = self._resolved.get_frozen_credentials()
        except (BotoCoreError, OSError, ValueError) as error:
            raise CredentialsError(f"no credentials: {error}") from None
        return Credentials(str(found.access_key), str(found.secret_key), found.token)


def from_environment(environment: Mapping[str, str]) -> Credentials | None:
    """Credentials as Lambda passes them; None where it does not.

    Raises:
        CredentialsError: only half of them is there.
    """
    access_key, secret_key = (environment.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    if not access_key:
        return None
    if not secret_key:
        raise CredentialsError("AWS_ACCESS_KEY_ID is set, and AWS_SECRET_ACCESS_KEY is not; set both")
    return Credentials(access_key, secret_key, environment.get("AWS_SESSION_TOKEN") or None)


def resolve() -> "BotocoreCredentials":
    """Ask botocore.

    Raises:
        CredentialsError: it finds none.
    """
    import botocore.session  # noqa: PLC0415 - as above

    found = botocore.session.get_session().get_credentials()
    if found is None:
        raise CredentialsError(
            "there are no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    return found
