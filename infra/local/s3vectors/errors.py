"""The errors of Amazon S3 Vectors, as its service model declares them.

S3VectorsError
├── ValidationError             400  ValidationException
├── SerializationError          400  SerializationException
├── AccessDeniedError           403  AccessDeniedException
├── CredentialsError            as IAM answers
├── NotFoundError               404  NotFoundException
├── UnknownOperationError       404  UnknownOperationException
├── RequestTimeoutError         408  RequestTimeoutException
├── ConflictError               409  ConflictException
├── TooManyRequestsError        429  TooManyRequestsException
├── InternalServerError         500  InternalServerException
└── ServiceUnavailableError     503  ServiceUnavailableException
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class InvalidField:
    """An entry of a `ValidationException`'s `fieldList`."""

    path: str
    message: str


class S3VectorsError(Exception):
    """An error that the service answers.

    Attributes:
        status: the HTTP status.
        code: the name of the exception in AWS's service model.
        message: what the client shows.
        fields: which members of the request are invalid, and why; only for validation errors.
    """

    status: int
    code: str

    def __init__(self, message: str, *fields: InvalidField) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields


class ValidationError(S3VectorsError):
    """The request breaks a rule of the service."""

    status, code = 400, "ValidationException"

    @classmethod
    def at(cls, path: str, message: str) -> "ValidationError":
        """An error whose message is also that of one member."""
        return cls(message, InvalidField(path, message))


class SerializationError(S3VectorsError):
    """The body is not JSON, or a member has the wrong JSON type."""

    status, code = 400, "SerializationException"


class AccessDeniedError(S3VectorsError):
    """The caller's policies do not allow the action."""

    status, code = 403, "AccessDeniedException"


class CredentialsError(S3VectorsError):
    """The request is not signed by a known caller."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class NotFoundError(S3VectorsError):
    """There is no such vector bucket, index, or resource."""

    status, code = 404, "NotFoundException"


class UnknownOperationError(S3VectorsError):
    """The method and path belong to no operation."""

    status, code = 404, "UnknownOperationException"


class RequestTimeoutError(S3VectorsError):
    """The request took too long."""

    status, code = 408, "RequestTimeoutException"


class ConflictError(S3VectorsError):
    """The name is taken, or the vector bucket still holds indexes."""

    status, code = 409, "ConflictException"


class TooManyRequestsError(S3VectorsError):
    """The request rate is over the service's limit."""

    status, code = 429, "TooManyRequestsException"


class InternalServerError(S3VectorsError):
    """The service failed."""

    status, code = 500, "InternalServerException"


class ServiceUnavailableError(S3VectorsError):
    """The service cannot take the request now."""

    status, code = 503, "ServiceUnavailableException"
