"""Model bundles: from a manifest to a directory that the function can load, proven."""

from infra.bake.bundle import Options, bake
from infra.bake.manifest_file import find_manifest

__all__ = ["Options", "bake", "find_manifest"]
