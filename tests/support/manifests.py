"""Changed copies of shipped manifests."""

import shutil
from pathlib import Path

from infra.common.paths import MANIFESTS


def changed_manifest(folder: Path, old: str = "", new: str = "", name: str = "efficientnet-lite0") -> Path:
    """Copy a shipped manifest and the files beside it, and replace one piece of its text."""
    text = (MANIFESTS / f"{name}.toml").read_text("utf-8")
    assert old in text
    shutil.copytree(MANIFESTS, folder, dirs_exist_ok=True)
    path = folder / "own.toml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    return path
