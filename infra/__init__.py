"""Operator commands and the local AWS. Nothing in `handler` imports this."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as in `handler`
