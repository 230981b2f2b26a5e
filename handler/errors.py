"""Everything that can go wrong, as one tree.

DropvecError
├── SettingsError        a setting is missing or wrong                    fails at init
├── BundleError          the model bundle is absent or does not fit       fails at init
├── UnknownEventError    an event of a shape that dropvec does not take
├── RequestError         a direct request that does not validate
│   └── NoTextTowerError     texts, of a model that has only images
├── RejectedError        the object can never be embedded as it is: recorded, never retried
├── MissingObjectError   the key holds nothing now
└── RetryableError       worth another try: throttling, 5xx, timeouts
    ├── AccessDeniedError    the role may not, yet
    └── InternalError        a defect of dropvec's own; its trace is in the log

Every error has a stable `code` (what callers may compare with) and knows whether it is `retryable`.
The text of an error is one line for people.
"""

from enum import StrEnum


class Rejection(StrEnum):
    """Why an object is refused for good."""

    UNSUPPORTED_FORMAT = "unsupported_format"
    CORRUPT_IMAGE = "corrupt_image"
    EMPTY_OBJECT = "empty_object"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    ARCHIVED_OBJECT = "archived_object"
    UNREADABLE_OBJECT = "unreadable_object"


class DropvecError(Exception):
    """Root of the tree."""

    code = "internal"
    retryable = False


class SettingsError(DropvecError):
    """A setting is missing or wrong; the text says what to set."""

    code = "invalid_settings"


class BundleError(DropvecError):
    """The model bundle is absent, incomplete or not what its `model.json` says."""

    code = "invalid_bundle"


class UnknownEventError(DropvecError):
    """The event has none of the shapes that dropvec takes."""

    code = "unknown_event"


class RequestError(DropvecError):
    """A direct request does not validate."""

    code = "invalid_request"


class NoTextTowerError(RequestError):
    """Texts are asked for, and the bundle has no text tower."""

    code = "no_text_tower"


class RejectedError(DropvecError):
    """The object can never be embedded as it is."""

    def __init__(self, rejection: Rejection, message: str) -> None:
        super().__init__(message)
        self.code = rejection.value


class MissingObjectError(DropvecError):
    """The key holds nothing now."""

    code = "not_found"


class RetryableError(DropvecError):
    """A later try may succeed."""

    code = "unavailable"
    retryable = True


class AccessDeniedError(RetryableError):
    """The role may not do this, yet: a policy can be mended while the event waits."""

    code = "access_denied"


class InternalError(RetryableError):
    """A defect of dropvec's own. Retried, so that nothing is lost and a repaired version can do it."""

    code = "internal"
