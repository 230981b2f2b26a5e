"""What runs in Lambda."""

import os

# onnxruntime's own builds report to their maker, with an identifier that they leave on the disk, unless this is set
# before they are imported: https://github.com/microsoft/onnxruntime/blob/main/docs/Privacy.md
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
