"""The naive side."""

from tests.bench.naive.app import embed, handler

__all__ = ["embed", "handler"]
