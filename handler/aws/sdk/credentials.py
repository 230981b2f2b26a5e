"""AWS credentials: from the environment, as in Lambda, or else from botocore."""

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from handler.aws.sdk.errors import CredentialsError
from handler.aws.sdk.signing import Credentials

if TYPE_CHECKING:
    from botocore.credentials import Credentials as BotocoreCredentials


class CredentialsProvider:
    """Provides the current credentials; called for each request, because credentials expire."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._lock = threading.Lock()
        self._found_by_botocore: BotocoreCredentials | None = None

    def __call__(self) -> Credentials:
        """The current credentials.

        Raises:
            CredentialsError: there are none, or obtaining them failed.
        """
        return from_environment(self._environment) or self._from_botocore()

    def _from_botocore(self) -> Credentials:
        """Profiles, single sign-on, container and instance roles; botocore renews credentials before they expire."""
        try:
            from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - the import takes as long as loading the model
        except ImportError:
            raise CredentialsError(
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set; set them, or install botocore, which finds "
                "credentials of profiles and roles too"
            ) from None
        try:
            with self._lock:
                self._found_by_botocore = self._found_by_botocore or find_with_botocore()
            found = self._found_by_botocore.get_frozen_credentials()
        except (BotoCoreError, OSError, ValueError) as error:
            raise CredentialsError(f"botocore failed to obtain credentials: {error}") from None
        return Credentials(str(found.access_key), str(found.secret_key), found.token)


def from_environment(environment: Mapping[str, str]) -> Credentials | None:
    """The credentials in the environment, where Lambda puts them; None without `AWS_ACCESS_KEY_ID`.

    Raises:
        CredentialsError: the secret key is missing.
    """
    access_key, secret_key = (environment.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    if not access_key:
        return None
    if not secret_key:
        raise CredentialsError("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not; set both")
    return Credentials(access_key, secret_key, environment.get("AWS_SESSION_TOKEN") or None)


def find_with_botocore() -> "BotocoreCredentials":
    """The credentials that botocore finds.

    Raises:
        CredentialsError: botocore finds none.
    """
    import botocore.session  # noqa: PLC0415 - as above

    found = botocore.session.get_session().get_credentials()
    if found is None:
        raise CredentialsError(
            "no AWS credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    return found
