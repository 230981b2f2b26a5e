"""Where things are: the repository, and the folder that commands write to, which DROPVEC_BUILD can move.

Standard library only: `infra.cli.bootstrap` imports this before any package is installed.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "infra" / "template.yaml"
DOCKERFILE = ROOT / "infra" / "Dockerfile"
HANDLER = ROOT / "handler"
MANIFESTS = ROOT / "infra" / "manifests"

# Downloads are pinned by their hash, so every build folder shares them: DROPVEC_BUILD does not move these.
CACHE = ROOT / "build" / "cache"

BUILD = Path(os.environ.get("DROPVEC_BUILD", ROOT / "build")).absolute()
SAMPLES = BUILD / "samples"
MODELS = BUILD / "models"
DEMO = BUILD / "demo"
UP = BUILD / "up"


def shown(path: Path) -> str:
    """A path as the user would type it: relative to the working directory where it is below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
