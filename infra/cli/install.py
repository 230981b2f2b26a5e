"""`python3 -m infra.cli.install SET`: install a set of packages into the checkout's environment, for the Makefile.

Python 3.6 must parse this file, to refuse itself in one line.
"""

import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while modules are loaded ends it without a traceback
    from infra.cli.python_version import refuse_old_python

    refuse_old_python(" ".join(["make", *sys.argv[2:], "PYTHON={python}"]))
    from infra.cli.environment import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(sys.argv[1]))
