"""What can go wrong in a call to AWS, as one tree.

SdkError
├── ServiceError         the service answered, and refuses
├── NetworkError         no answer, or not all of it
│   └── StaleError           the connection had been kept too long; the call can be made again at once
├── AnswerError          the answer is none that the service gives
└── CredentialsError     there are none, or they cannot be had
"""

from collections.abc import Mapping
from typing import Any


class SdkError(Exception):
    """Root of the tree."""


class ServiceError(SdkError):
    """The service answered, and refuses.

    Attributes:
        operation: such as `GetObject`.
        status: of HTTP.
        code: the service's own, such as `NoSuchKey`; the status where it gives none.
        message: the service's words.
        fields: all that it says about the error, by name.
    """

    def __init__(self, operation: str, status: int, code: str, message: str, fields: Mapping[str, Any]) -> None:
        super().__init__(f"{operation}: {code}: {message}")
        self.operation = operation
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields


class NetworkError(SdkError):
    """No answer, or not all of it."""


class StaleError(NetworkError):
    """The other side had closed a kept connection before this call: it has most likely never seen it."""


class AnswerError(SdkError):
    """The answer is none that the service gives: cut, changed on its way, or somebody else's."""


class CredentialsError(SdkError):
    """There are no credentials, or they cannot be had."""
