"""Refuse a Python that is too old. Python 3.6 must parse this file."""

import os
import shutil
import sys

OLDEST = (3, 11)
_NEWER = ("python3.13", "python3.12", "python3.11", "python3.14")


def refuse_old_python(command: str) -> None:
    """Exit with 1 and one line that names the right command, if this Python is older than 3.11.

    Args:
        command: the command to run with a newer Python; `{python}` in it becomes the name of one.
    """
    if sys.version_info >= OLDEST:
        return
    found = [name for name in _NEWER if shutil.which(name)]
    newer = command.replace("{python}", found[0] if found else "/path/to/python3.11")
    this, version = os.path.basename(sys.executable), ".".join(map(str, sys.version_info[:2]))  # noqa: PTH119
    sys.exit(f"dropvec: needs Python 3.11 or newer, but {this} is Python {version}; run: {newer}")
