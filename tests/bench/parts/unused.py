"""Compare the cold start with that of a build without optional features, which must not cost anything when unused."""

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

# Modules for direct requests, texts and words; and their libraries and HEIC's.
MODULES = ("direct.py", "text.py", "tokenizer.py", "byte_pairs.py", "text_labels.py", "vocabulary.py")
LIBRARIES = ("pydantic", "pydantic_core", "pillow_heif", "_pillow_heif", "tokenizers", "huggingface_hub", "annotated")


def measure(setting: Setting) -> Findings:
    """Both builds are made in the same way, with links, so that they differ only in what is left out."""
    lean, full = _build("lean", MODULES, LIBRARIES), _build("full", (), ())
    command = [python(), "-S", "-P", PROBE, OURS, "embed", str(medium_picture(setting))]
    without: list[float] = []
    complete: list[float] = []
    for number in range(2 * setting.runs + 1):
        for folder, found in ((lean, without), (full, complete)):
            environment = setting.environment() | {"PYTHONPATH": f"{folder}:{folder / 'site'}"}
            finished = run(command, environment, setting.core)
            if number:
                found.append(1000 * finished.marks["ready"].seconds)
    name = "cold start with HEIC, text and direct, to one without"
    note = f"left out: {', '.join((*MODULES, 'pydantic', 'pillow_heif', 'tokenizers'))}"
    return Findings([compared(name, "ms", without, complete, note)])


def _build(name: str, modules: Collection[str], libraries: Collection[str]) -> Path:
    """Make a folder with the package, and a folder of links to its libraries."""
    folder = FOLDER / "builds" / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HANDLER, folder / "handler", ignore=shutil.ignore_patterns("__pycache__", *modules))
    tests = folder / "tests"
    tests.mkdir()
    (tests / "__init__.py").touch()
    (tests / "bench").symlink_to(Path(__file__).parents[1])
    site = folder / "site"
    site.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.name.startswith(tuple(libraries) or ("\0",)) or path.suffix == ".pth" or path.name == "__pycache__":
            continue
        (site / path.name).symlink_to(path)
    compileall.compile_dir(folder / "handler", quiet=1)
    return folder
