"""Commands of this program in messages, as the user types them. Standard library only."""

import sys
from pathlib import Path

from infra.common.paths import INSTALLED


def program() -> str:
    """The name that was typed: `dropvec`, or `python3 -m infra`."""
    name = Path(sys.argv[0]).name
    if name == "__main__.py":
        return f"{Path(sys.orig_argv[0]).name} -m infra"
    return name if name.startswith("dropvec") else "python3 -m infra"


def command(arguments: str, make: str = "") -> str:
    """A command to suggest.

    Args:
        arguments: the arguments of `dropvec`, which an installed copy suggests.
        make: those of make, which a checkout suggests; empty for `python3 -m infra` with `arguments`.
    """
    if INSTALLED:
        return f"dropvec {arguments}"
    return f"make {make}" if make else f"python3 -m infra {arguments}"
