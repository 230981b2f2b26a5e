"""microburst, but answers keep their length: it sends every one in chunks, and no S3 does that.

python -m tests.soak.fault_proxy … takes microburst's own options.
"""

import sys

from microburst import cli, forward

forward.HOP_BY_HOP -= {"content-length"}

if __name__ == "__main__":
    sys.exit(cli.main())
