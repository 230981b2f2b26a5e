"""Model bundles: from a manifest to a directory that the function can load, proven."""

from infra.bake.bundle import Options, bake

__all__ = ["Options", "bake"]
