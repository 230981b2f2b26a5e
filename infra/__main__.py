"""`python -m infra COMMAND`: the operator's commands from a checkout."""

import sys

from infra.cli.bootstrap import ensure_packages
from infra.cli.main import main

if __name__ == "__main__":
    ensure_packages()
    sys.exit(main())
