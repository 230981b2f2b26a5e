"""The size from which the C library maps a block of memory of its own, instead of putting it on the heap.

glibc starts with 128 KiB, and raises the threshold to the size of each mapped block that is freed. Blocks of that size
then come from the heap, where they leave gaps: after 25 texts of MobileCLIP-S2's text tower the heap had grown by 8 to
10 MiB. A threshold that a program sets stays as it is, and a mapped block is returned to the system when it is freed.
https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

import contextlib
import ctypes

_M_MMAP_THRESHOLD = -3
_BYTES = 128 * 1024


def fix_mmap_threshold() -> None:
    """Keep glibc's threshold at 128 KiB. Does nothing with a C library that has no `mallopt`."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _BYTES)
