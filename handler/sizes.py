"""The limit on an image's bytes, the same for objects, inline images and local files."""

from handler.errors import RejectedError, Rejection


def check_size(size: int, limit: int) -> None:
    """Check how many bytes an image has, before they are read where that is possible.

    Raises:
        RejectedError: no bytes, or more than the limit.
    """
    if size == 0:
        raise RejectedError(Rejection.EMPTY_OBJECT, "the image has no bytes")
    if size > limit:
        raise RejectedError(Rejection.TOO_MANY_BYTES, f"the image has {size} bytes; the limit is {limit}")
