"""Every error that dropvec raises, in one class hierarchy.

DropvecError
├── SettingsError        a setting is missing or wrong                    fails at init
├── BundleError          the model bundle is missing or invalid           fails at init
├── UnknownEventError    unsupported event
├── RequestError         invalid direct request
│   ├── NoTextTowerError     text requested from a model without a text tower
│   ├── UnknownWordError     word that is not in the vocabulary of such a model
│   ├── UnauthorizedError    HTTP request without the right token
│   ├── ApiOffError          HTTP request to a stack that takes none
│   ├── MethodError          HTTP method that a route does not have
│   ├── TooLargeError        HTTP request whose body is too large
│   └── MediaTypeError       HTTP request with a body of another content type
├── RejectedError        the object cannot be embedded: recorded, never retried
├── MissingObjectError   no object at this key
├── NotIndexedError      an object without a vector in the index that is searched
├── NormUnknownError     an older item does not say how long its vector was
├── SearchOffError       the stack has no index
└── RetryableError       a later attempt may succeed: throttling, 5xx, timeouts
    ├── AccessDeniedError    the role lacks a permission
    └── InternalError        a bug in dropvec; the log has the stack trace

Every error has a stable `code`, which callers may compare, and a flag `retryable`.
The message is one line, written for people.
"""

from enum import StrEnum


class Rejection(StrEnum):
    """Why an object is rejected permanently."""

    UNSUPPORTED_FORMAT = "unsupported_format"
    CORRUPT_IMAGE = "corrupt_image"
    EMPTY_OBJECT = "empty_object"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    ARCHIVED_OBJECT = "archived_object"
    UNREADABLE_OBJECT = "unreadable_object"
    UNUSABLE_VECTOR = "unusable_vector"


def printable(text: str) -> str:
    """The text as one line that a terminal, a log or a page can show: characters that are not printable are escaped."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


class DropvecError(Exception):
    """Base class of all errors of dropvec.

    The text is one line whatever a request, an event or a file put into it: control characters are escaped.
    """

    code = "internal"
    retryable = False

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class SettingsError(DropvecError):
    """A setting is missing or invalid; the message says what to set."""

    code = "invalid_settings"


class BundleError(DropvecError):
    """The model bundle is missing, incomplete or does not match its `model.json`."""

    code = "invalid_bundle"


class UnknownEventError(DropvecError):
    """The event has an unsupported format."""

    code = "unknown_event"


class RequestError(DropvecError):
    """A direct request is invalid."""

    code = "invalid_request"


class NoTextTowerError(RequestError):
    """A request contains text, but the bundle has no text tower."""

    code = "no_text_tower"


class UnknownWordError(RequestError):
    """The model has a vocabulary instead of a text tower, and the word is not in it. The text names those near it."""

    code = "unknown_word"


class UnauthorizedError(RequestError):
    """An HTTP request has no token, or a wrong one."""

    code = "unauthorized"


class ApiOffError(RequestError):
    """An HTTP request reached a stack whose parameter `Api` is `none`."""

    code = "api_off"


class MethodError(RequestError):
    """A route does not have this HTTP method."""

    code = "method_not_allowed"

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class TooLargeError(RequestError):
    """The body of an HTTP request is too large."""

    code = "request_too_large"


class MediaTypeError(RequestError):
    """The body of an HTTP request has another content type than the route takes."""

    code = "unsupported_media_type"


class RejectedError(DropvecError):
    """The object cannot be embedded, and a retry would not change that."""

    def __init__(self, rejection: Rejection, message: str) -> None:
        super().__init__(message)
        self.code = rejection.value


class MissingObjectError(DropvecError):
    """There is no object at this key."""

    code = "not_found"


class NotIndexedError(DropvecError):
    """An object has an item, but no vector in the index that is searched."""

    code = "not_indexed"


class NormUnknownError(DropvecError):
    """The vector as it was before normalisation is asked for, but the item was written without its length."""

    code = "norm_unknown"


class SearchOffError(DropvecError):
    """The stack has no index: its parameter `Search` is false."""

    code = "search_off"


class RetryableError(DropvecError):
    """A later attempt may succeed."""

    code = "unavailable"
    retryable = True


class AccessDeniedError(RetryableError):
    """The role lacks a permission.

    Retryable, because the policy can be fixed while the event waits in the queue.
    """

    code = "access_denied"


class InternalError(RetryableError):
    """A bug in dropvec.

    Retryable, so that the event is not lost and a fixed version can process it.
    """

    code = "internal"
