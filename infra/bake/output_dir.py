"""Where a bundle goes: made beside its place, and put there in one step."""

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


def check_place(out: Path) -> None:
    """Look, before any work is done, whether a bundle can go there.

    Raises:
        OperatorError: something else is there, or the folder cannot be written.
    """
    try:
        free = not out.exists() or _is_bundle(out) or not any(out.iterdir())
    except OSError:
        free = False
    # The working directory cannot be swapped for another one.
    if not free or out == Path.cwd():
        raise OperatorError(f"{out} is there and is not a bundle; choose another --out, or remove it first")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as error:
        raise unwritable(out, error) from None


@contextmanager
def scratch(out: Path) -> Iterator[Path]:
    """A folder on the disk of `out`, gone afterwards; those of bakes that were killed go too."""
    _sweep(out.parent)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=_SCRATCH) as folder:
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(folder)
        finally:
            os.close(lock)


def move(made: Path, out: Path) -> None:
    """Put a bundle in its place; what was there is gone only when the new one stands."""
    old = made.parent / "replaced"
    lock = os.open(out.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # against another bake of the same place
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


def unwritable(out: Path, error: OSError) -> OperatorError:
    """What to say of an error on the way to `out`."""
    advice = "make room, or choose another --out" if error.errno in _NO_ROOM else "choose another --out"
    return OperatorError(f"cannot write {out} ({error.strerror}); {advice}")


def _is_bundle(folder: Path) -> bool:
    # The name alone proves nothing: a TensorFlow.js model has a model.json too, and would be deleted.
    try:
        spec = json.loads((folder / SPEC_FILE).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(spec, dict) and {"format", "fingerprint"} <= spec.keys()


def _sweep(parent: Path) -> None:
    """Remove what killed bakes have left: folders that nobody holds a lock on."""
    for folder in parent.glob(f"{_SCRATCH}*"):
        try:
            lock = os.open(folder, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass  # its bake is at work
        finally:
            os.close(lock)
