"""Who may send requests: the bearer token, compared in constant time with the secret's current text."""

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

from handler.aws.retries import attempt
from handler.aws.sdk.secretsmanager import SecretsManager
from handler.errors import RetryableError, UnauthorizedError
from handler.timing import Deadline

# After a rotation, the old token stays valid for at most so long.
MAX_AGE_SECONDS = 300.0

# A wrong token may be a new one: the secret is read again, but not more often than this.
MIN_AGE_SECONDS = 10.0

_SCHEME = "bearer"


@dataclass(slots=True)
class TokenCheck:
    """Compares tokens with a secret; thread-safe.

    Attributes:
        secrets: the client.
        secret: the secret's ARN or name.
        clock: seconds since 1970; unlike a monotonic clock it also counts while the sandbox is frozen.
    """

    secrets: SecretsManager
    secret: str
    clock: Callable[[], float] = time.time
    _lock: Lock = field(default_factory=Lock)
    _token: bytes = b""
    _read_at: float = float("-inf")

    def require(self, authorization: str, deadline: Deadline) -> None:
        """Check the header `Authorization`.

        Raises:
            UnauthorizedError: it does not have the token.
            RetryableError: the secret cannot be read.
        """
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != _SCHEME or not given.strip():
            raise UnauthorizedError("this needs the header `Authorization: Bearer TOKEN`")
        token = given.strip().encode(errors="replace")
        if hmac.compare_digest(token, self._current(MAX_AGE_SECONDS, deadline)):
            return
        if not hmac.compare_digest(token, self._current(MIN_AGE_SECONDS, deadline)):
            raise UnauthorizedError("the token is wrong; the stack's secret has the right one")

    def _current(self, max_age: float, deadline: Deadline) -> bytes:
        """The secret's text, read at most so many seconds ago."""
        with self._lock:
            if not 0 <= self.clock() - self._read_at < max_age:
                text = attempt(partial(self.secrets.get_secret_value, self.secret), deadline).strip()
                if not text:
                    raise RetryableError("the secret with the token is empty")
                self._token, self._read_at = text.encode(), self.clock()
            return self._token
