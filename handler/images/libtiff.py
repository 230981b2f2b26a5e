"""The errors that libtiff reports: left alone it prints them, and some (a fax line it had to guess) Pillow ignores."""

import contextlib
import ctypes
import functools
import threading
from collections.abc import Iterator

from PIL import _imaging

_MOST_ERRORS = 10

_state = threading.local()


def _record(_module: bytes | None, template: bytes | None, _arguments: int | None) -> None:
    errors = getattr(_state, "errors", [])
    _state.errors = [*errors[: _MOST_ERRORS - 1], (template or b"").decode("ascii", "replace")]


_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)(_record)


@functools.cache
def _install_handler() -> None:
    library = ctypes.CDLL(_imaging.__file__)  # Pillow's own extension: it finds the libtiff that it is linked with
    with contextlib.suppress(AttributeError):  # a Pillow without libtiff, or with it sealed inside
        library.TIFFSetErrorHandler(_HANDLER)


@contextlib.contextmanager
def raised_errors() -> Iterator[None]:
    """Raise the first error that libtiff reports inside the block, in this thread.

    Raises:
        ValueError: libtiff met an error, whatever else was raised.
    """
    _install_handler()
    _state.errors = []
    try:
        yield
    finally:
        if _state.errors:
            raise ValueError(f"libtiff: {_state.errors[0]}")
