"""libtiff's errors, heard: left alone it prints them, and of some it says nothing else (a fax line it had to guess)."""

import contextlib
import ctypes
import functools
import threading

from PIL import _imaging

_heard = threading.local()


def _hear(_module: bytes | None, template: bytes | None, _arguments: int | None) -> None:
    _heard.errors = [*getattr(_heard, "errors", ())[:9], (template or b"").decode("ascii", "replace")]


_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)(_hear)


@functools.cache
def _listen() -> None:
    library = ctypes.CDLL(_imaging.__file__)  # Pillow's own extension: it finds the libtiff that it is linked with
    with contextlib.suppress(AttributeError):  # a Pillow without libtiff, or with it sealed inside
        library.TIFFSetErrorHandler(_HANDLER)


def forget_errors() -> None:
    """Begin with a new file, in this thread."""
    _listen()
    _heard.errors = []


def raise_for_errors() -> None:
    """Raise when libtiff has met an error in this thread's file."""
    if _heard.errors:
        raise ValueError(f"libtiff: {_heard.errors[0]}")
