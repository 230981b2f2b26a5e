"""Start the runtime client, with the module search path that functions have in Lambda."""

import os
import sys
from sysconfig import get_path

from awslambdaric import __main__ as client

PACKAGES = f"python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
FIRST = (os.environ["LAMBDA_TASK_ROOT"], f"/opt/python/lib/{PACKAGES}", "/opt/python", get_path("purelib"))

sys.path[:0] = FIRST
client.main([sys.argv[0], os.environ["_HANDLER"]])
