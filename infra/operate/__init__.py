"""Commands for a deployed stack: backfill, status, failures, redrive, get, export, cost."""
