"""Freed memory that the C library keeps, given back to the system.

glibc puts large blocks on its heap once it has freed one of their size, and cannot shrink the heap below whatever
small thing lies on top: after a large picture hundreds of megabytes may stay, of no use to a decoder that wants one
piece. The next large picture would come on top of them.
"""

import contextlib
import ctypes


def give_back() -> None:
    """Return all free pages of the heap, also those in its middle; does nothing where the C library is not glibc."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
