"""The output directory of a bake: the bundle is made beside it and moved there atomically."""

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from handler.model.spec import SPEC_FILE
from infra.common.errors import OperatorError
from infra.common.signals import uninterrupted

_SCRATCH = ".bake-"
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def check_output_dir(out: Path) -> None:
    """Check, before any work is done, that a bundle can be written to a directory.

    Raises:
        OperatorError: the directory has other content, or cannot be written.
    """
    try:
        free = not out.exists() or _is_bundle(out) or not any(out.iterdir())
    except OSError:
        free = False
    # The working directory cannot be replaced.
    if not free or out == Path.cwd():
        raise OperatorError(f"{out} already exists and is not a bundle; choose another --out, or remove it first")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as error:
        raise cannot_write(out, error) from None


@contextmanager
def scratch(out: Path) -> Iterator[Path]:
    """A temporary folder on the same disk as `out`; also deletes those of bakes that were killed."""
    _delete_leftovers(out.parent)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=_SCRATCH) as folder:
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(folder)
        finally:
            os.close(lock)


def move(made: Path, out: Path) -> None:
    """Move a bundle to `out`; an existing bundle there is kept if this fails."""
    old = made.parent / "replaced"
    lock = os.open(out.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another bake may write the same directory
        with uninterrupted():
            if out.exists():
                out.rename(old)
            try:
                made.rename(out)
            except OSError:
                if old.exists():
                    old.rename(out)
                raise
    finally:
        os.close(lock)


def cannot_write(out: Path, error: OSError) -> OperatorError:
    """Convert an error of writing `out`."""
    advice = "make room, or choose another --out" if error.errno in _NO_ROOM else "choose another --out"
    return OperatorError(f"cannot write {out} ({error.strerror}); {advice}")


def _is_bundle(folder: Path) -> bool:
    # Check the content too: a TensorFlow.js model also has a model.json, and must not be deleted.
    try:
        spec = json.loads((folder / SPEC_FILE).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(spec, dict) and {"format", "fingerprint"} <= spec.keys()


def _delete_leftovers(parent: Path) -> None:
    """Delete the temporary folders of bakes that were killed: those that no process has locked."""
    for folder in parent.glob(f"{_SCRATCH}*"):
        try:
            lock = os.open(folder, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass  # locked by a running bake
        finally:
            os.close(lock)
