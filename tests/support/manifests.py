"""Manifests of the tests' own: a shipped one, changed."""

import shutil
from pathlib import Path

MODELS = Path(__file__).parents[2] / "infra" / "manifests"


def changed_manifest(folder: Path, old: str = "", new: str = "", name: str = "efficientnet-lite0") -> Path:
    """Copy a shipped manifest, with the files beside it, and change one piece of its text."""
    text = (MODELS / f"{name}.toml").read_text("utf-8")
    assert old in text
    shutil.copytree(MODELS, folder, dirs_exist_ok=True)
    path = folder / "own.toml"
    path.write_text(text.replace(old, new, 1), "utf-8")
    return path
