"""Where things are: the repository, and the one folder that commands write to (DROPVEC_BUILD moves it)."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "infra" / "template.yaml"
HANDLER = ROOT / "handler"
SHIPPED = ROOT / "infra" / "manifests"
BUILD = Path(os.environ.get("DROPVEC_BUILD", ROOT / "build")).absolute()
SAMPLES = BUILD / "samples"
MODELS = BUILD / "models"
DEMO = BUILD / "demo"
UP = BUILD / "up"


def shown(path: Path) -> str:
    """A path as a person at the prompt would type it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
