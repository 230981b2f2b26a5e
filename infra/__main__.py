"""`python3 -m infra COMMAND` in a checkout; `dropvec COMMAND` where the package is installed.

Python 3.6 must parse this file, to refuse itself in one line.
"""

import os
import signal
import sys
from typing import Any

from infra.cli.python_version import refuse_old_python


def run() -> None:
    """Run one command and exit with its code."""
    # Until `main` handles signals: the imports take a moment, and an interrupted import would print a traceback.
    signal.signal(signal.SIGINT, _stop)
    refuse_old_python(" ".join(["{python} -m infra", *sys.argv[1:]]))
    from infra.cli.main import main  # noqa: PLC0415 - older versions of Python cannot import it

    sys.exit(main())


def _stop(signum: int, _frame: Any) -> None:  # noqa: ANN401 - unused
    os.write(2, b"dropvec: stopped\n")
    os._exit(128 + signum)


if __name__ == "__main__":
    run()
