"""Where things are: the files that come with dropvec, and the folders that commands write to.

A checkout's commands write to its `build` folder. An installed copy's commands write to the platform's cache folder,
and `demo` to `dropvec-demo` in the current folder. DROPVEC_BUILD and DROPVEC_CACHE move these.

Standard library only: `infra.cli.bootstrap` imports this before any package is installed.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The wheel has copies of these in `infra`; see pyproject.toml.
INSTALLED = (ROOT / "infra" / "pyproject.toml").is_file()
PROJECT = ROOT / "infra" / "pyproject.toml" if INSTALLED else ROOT / "pyproject.toml"
EVENTS = ROOT / "infra" / "events" if INSTALLED else ROOT / "events"

TEMPLATE = ROOT / "infra" / "template.yaml"
DOCKERFILE = ROOT / "infra" / "Dockerfile"
HANDLER = ROOT / "handler"
MANIFESTS = ROOT / "infra" / "manifests"


def _platform_cache() -> Path:
    """The user's cache folder: ~/.cache or XDG_CACHE_HOME; on macOS ~/Library/Caches."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home raises where there is no home
    named = os.environ.get("XDG_CACHE_HOME", "")
    if Path(named).is_absolute():
        return Path(named) / "dropvec"
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "dropvec"


_OWN = Path(os.environ.get("DROPVEC_CACHE") or _platform_cache()).absolute() if INSTALLED else ROOT / "build"

# Downloads are pinned by their hash, so every build folder shares them: DROPVEC_BUILD does not move these.
CACHE = _OWN / "downloads" if INSTALLED else Path(os.environ.get("DROPVEC_CACHE") or _OWN / "cache").absolute()
BUILD = Path(os.environ.get("DROPVEC_BUILD") or _OWN).absolute()
SAMPLES = BUILD / "samples"
MODELS = BUILD / "models"
DEMO = BUILD / "demo" if os.environ.get("DROPVEC_BUILD") or not INSTALLED else Path("dropvec-demo").absolute()
UP = BUILD / "up"


def shown(path: Path) -> str:
    """A path as the user would type it: relative to the working directory where it is below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
