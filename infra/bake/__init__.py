"""Bake model bundles: from a manifest to a verified directory that the function can load."""

from infra.bake.bundle import Options, bake
from infra.bake.manifest_file import find_manifest

__all__ = ["Options", "bake", "find_manifest"]
