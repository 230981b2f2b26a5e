"""What can be had but is not used must cost nothing: the cold start beside that of a build without it."""

import compileall
import shutil
import sysconfig
from collections.abc import Collection
from pathlib import Path

from infra.common.paths import HANDLER
from tests.bench.figures import Findings, compared
from tests.bench.parts.cold import OURS, PROBE
from tests.bench.process import python, run
from tests.bench.setting import FOLDER, Setting, medium_picture

# Of the package: direct requests, texts, labels; of what it depends on: their libraries, and HEIC's.
MODULES = ("direct.py", "text.py", "labels.py")
LIBRARIES = ("pydantic", "pydantic_core", "pillow_heif", "_pillow_heif", "tokenizers", "huggingface_hub", "annotated")


def measure(setting: Setting) -> Findings:
    """Both builds are made in the same way, of links, so that they differ in nothing but what is left out."""
    lean, whole = _build("lean", MODULES, LIBRARIES), _build("whole", (), ())
    command = [python(), "-S", "-P", PROBE, OURS, "embed", str(medium_picture(setting))]
    without: list[float] = []
    beside: list[float] = []
    for number in range(2 * setting.runs + 1):
        for place, found in ((lean, without), (whole, beside)):
            environment = setting.environment() | {"PYTHONPATH": f"{place}:{place / 'site'}"}
            finished = run(command, environment, setting.core)
            if number:
                found.append(1000 * finished.marks["ready"].seconds)
    name = "cold start with HEIC, text and direct, to one without"
    note = f"left out: {', '.join((*MODULES, 'pydantic', 'pillow_heif', 'tokenizers'))}"
    return Findings([compared(name, "ms", without, beside, note)])


def _build(name: str, modules: Collection[str], libraries: Collection[str]) -> Path:
    """A folder with the package, and a folder of links to its libraries."""
    place = FOLDER / "builds" / name
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(HANDLER, place / "handler", ignore=shutil.ignore_patterns("__pycache__", *modules))
    tests = place / "tests"
    tests.mkdir()
    (tests / "__init__.py").touch()
    (tests / "bench").symlink_to(Path(__file__).parents[1])
    site = place / "site"
    site.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.name.startswith(tuple(libraries) or ("\0",)) or path.suffix == ".pth" or path.name == "__pycache__":
            continue
        (site / path.name).symlink_to(path)
    compileall.compile_dir(place / "handler", quiet=1)
    return place
