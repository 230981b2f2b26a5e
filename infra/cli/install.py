"""`python3 -m infra.cli.install SET`: install a set of packages into the checkout's environment, for the Makefile.

Python 3.6 must parse this file, to refuse itself in one line.
"""

import sys

from infra.cli.python_version import refuse_old_python

if __name__ == "__main__":
    refuse_old_python(" ".join(["make", *sys.argv[2:], "PYTHON={python}"]))
    from infra.cli.environment import main

    sys.exit(main(sys.argv[1]))
