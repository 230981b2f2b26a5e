"""The runtime's first program: its client comes before the function's folder, so it is the image's own that runs."""

import os
import sys

from awslambdaric import __main__ as client

sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
client.main([sys.argv[0], os.environ["_HANDLER"]])
