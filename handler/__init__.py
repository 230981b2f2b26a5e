"""The code that runs in Lambda."""

import os

# Microsoft's builds of onnxruntime send telemetry and store an identifier on the disk, unless this variable is set
# before the import: https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
