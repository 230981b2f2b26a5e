"""Errors of AWS calls, as one class hierarchy.

SdkError
├── ServiceError           the service returned an error
├── NetworkError           no complete response
│   └── StaleError             the server had closed an idle connection; the call can be retried at once
├── TooManyHeadersError    the response has more headers than can be read; another try would not change that
├── InvalidResponseError   the response is truncated, damaged or not from this service
└── CredentialsError       no credentials, or an error while obtaining them
"""

from collections.abc import Mapping
from typing import Any


class SdkError(Exception):
    """Base class of all errors of AWS calls."""


class ServiceError(SdkError):
    """The service returned an error.

    Attributes:
        operation: for example `GetObject`.
        status: HTTP status.
        code: the service's error code, for example `NoSuchKey`; the HTTP status if the response has none.
        message: the service's message.
        fields: all fields of the error response.
    """

    def __init__(self, operation: str, status: int, code: str, message: str, fields: Mapping[str, Any]) -> None:
        super().__init__(f"{operation}: {code}: {message}")
        self.operation = operation
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields


class NetworkError(SdkError):
    """No complete response."""


class StaleError(NetworkError):
    """The server had closed an idle connection before this call, so most likely it did not receive the request."""


class TooManyHeadersError(SdkError):
    """The response has more headers than can be read; S3 sends one for each entry of an object's metadata."""


class InvalidResponseError(SdkError):
    """The response is truncated, damaged or not from this service."""


class CredentialsError(SdkError):
    """There are no credentials, or obtaining them failed."""
