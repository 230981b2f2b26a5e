"""Model bundles: from a manifest to a directory that the function can load, proven."""

from infra.bake.bundle import bake

__all__ = ["bake"]
