"""microburst with Content-Length: without this, it sends every response with chunked encoding, which S3 never does.

python -m tests.soak.fault_proxy … accepts microburst's options.
"""

import sys

from microburst import cli, forward

forward.HOP_BY_HOP -= {"content-length"}

if __name__ == "__main__":
    sys.exit(cli.main())
