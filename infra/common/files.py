"""Writing a file atomically, and the folders that commands write to."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from infra.common.errors import OperatorError
from infra.common.paths import BUILD, CACHE, INSTALLED, shown


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`, and rename it to `path` when the block ends without an error.

    If the block raises, the temporary file is deleted and a file that was at `path` stays as it was.

    Raises:
        OperatorError: the file cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        part = Path(name)
        try:
            os.close(descriptor)
            with part.open("wb") as file:
                yield file
            part.chmod(0o666 & ~_umask())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OperatorError(f"cannot write {shown(path)}: {error.strerror}") from None


def create_folder(folder: Path) -> None:
    """Create a folder that a command writes to, with its parents, and check that files can be created in it.

    Raises:
        OperatorError: they cannot; the text names the variable that moves the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OperatorError(f"cannot write {shown(folder)} ({error.strerror}); {_remedy(folder)}") from None


def _remedy(folder: Path) -> str:
    if folder.is_relative_to(CACHE) or (
        INSTALLED and folder.is_relative_to(BUILD) and "DROPVEC_BUILD" not in os.environ
    ):
        return "set DROPVEC_CACHE to a folder that you can write"
    if folder.is_relative_to(BUILD):
        return "set DROPVEC_BUILD to a folder that you can write"
    return "run the command in a folder that you can write, or set DROPVEC_BUILD to one"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
