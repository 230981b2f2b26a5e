"""Freed memory that the C library keeps, returned to the system.

glibc puts large blocks on its heap once it has freed one of their size, and cannot shrink the heap below whatever
small block lies on top: after a large picture hundreds of megabytes may stay, of no use to a decoder that wants one
piece. The next large picture would come on top of them.
"""

import contextlib
import ctypes

# What smaller pictures leave on the heap does not matter.
_LARGE_PIXELS = 25_000_000


def trim_before(size: tuple[int, int]) -> None:
    """Return all free pages of the heap before a large picture (width, height) is decoded.

    Does nothing where the C library is not glibc.
    """
    if size[0] * size[1] > _LARGE_PIXELS:
        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
