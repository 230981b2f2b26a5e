"""Text -> token ids, with the bundle's tokenizer.

ASCII text needs only a table (`handler.model.byte_pairs`), if the bundle has one. The `tokenizers` library and the
`tokenizer.json` are loaded at the first text that needs them, or at once if the bundle has no table.
"""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from handler.errors import BundleError
from handler.model.bundle_files import check_bytes, check_size
from handler.model.byte_pairs import BytePairs, read_byte_pairs
from handler.model.spec import BundleFile, TextSpec

if TYPE_CHECKING:
    import tokenizers


@dataclass(frozen=True)
class Tokenizer:
    """A bundle's tokenizer, without truncation and padding.

    Attributes:
        bundle: the bundle's directory.
        file: the `tokenizer.json`.
        byte_pairs: the table for ASCII text; None without one.
    """

    bundle: Path
    file: BundleFile
    byte_pairs: BytePairs | None

    def ids(self, text: str) -> list[int]:
        """The token ids of a text without lone surrogates: start token, byte pairs, end token.

        Raises:
            BundleError: the library cannot load the `tokenizer.json`, or fails.
        """
        ids = None if self.byte_pairs is None else self.byte_pairs.ids(text)
        return _encode(self.library, text) if ids is None else ids

    @cached_property
    def library(self) -> "tokenizers.Tokenizer":
        """The tokenizer of the `tokenizers` library.

        Raises:
            BundleError: the `tokenizer.json` does not match `model.json`, or is not a tokenizer of the expected kind.
        """
        check_bytes(self.bundle, self.file)
        return load_library(self.bundle / self.file.name)


def load_tokenizer(bundle: Path, spec: TextSpec) -> Tokenizer:
    """Load a bundle's tokenizer.

    Raises:
        BundleError: a file is missing or does not match `spec`.
    """
    check_size(bundle, spec.tokenizer)
    if spec.byte_pairs is not None:
        return Tokenizer(bundle, spec.tokenizer, _load_byte_pairs(bundle, spec.byte_pairs))
    tokenizer = Tokenizer(bundle, spec.tokenizer, None)
    _ = tokenizer.library
    return tokenizer


def _load_byte_pairs(bundle: Path, file: BundleFile) -> BytePairs:
    check_bytes(bundle, file)
    try:
        with (bundle / file.name).open("rb") as opened:  # mapped: a text reads a part of the table
            return read_byte_pairs(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
    except ValueError as error:
        raise BundleError(f"invalid {bundle / file.name}: {error}; bake the bundle again") from None


def load_library(path: Path) -> "tokenizers.Tokenizer":
    """Load a `tokenizer.json` with the `tokenizers` library.

    Truncation and padding are disabled, and the names of special tokens are ordinary text.

    Raises:
        BundleError: the library cannot load it, or it does not add exactly a start and an end token.
    """
    from tokenizers import Tokenizer as Library  # noqa: PLC0415 - see the module's docstring

    with _bundle_errors(f"{path} is not a tokenizer of the tokenizers library"):
        library = Library.from_file(str(path))
    library.no_truncation()
    library.no_padding()
    library.encode_special_tokens = True
    added = _encode(library, "")
    if len(added) != 2:
        raise BundleError(f"{path} adds {len(added)} tokens to a text; expected 2, a start and an end token")
    return library


def _encode(library: "tokenizers.Tokenizer", text: str) -> list[int]:
    with _bundle_errors("the bundle's tokenizer failed"):
        ids: list[int] = library.encode(text).ids
    return ids


@contextmanager
def _bundle_errors(problem: str) -> Iterator[None]:
    """Convert errors of the `tokenizers` library to `BundleError`; a panic of its Rust code is no `Exception`."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - see above
        raise BundleError(f"{problem}: {str(error).partition(chr(10))[0]}") from None
