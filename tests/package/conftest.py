"""The wheel and the sdist, and installations of them in environments of their own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.common.paths import ROOT
from infra.common.pip_settings import parse

UV = str(Path(sys.executable).parent / "uv")
VERSIONS = ("3.11", "3.12", "3.13")

Done = subprocess.CompletedProcess[str]


def find_python(version: str) -> str | None:
    """A Python of a version on this machine: one that uv finds, or one of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    if found := sorted(pyenv.glob(f"{version}.*/bin/python{version}")):
        return str(found[-1])
    command = [UV, "python", "find", "--no-python-downloads", "--system", version]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


@dataclass(frozen=True)
class Installation:
    """An installed `dropvec`, and an empty folder and a home to use it in.

    Attributes:
        command: the program.
        folder: the current folder of its runs.
        home: its home.
        caches: the caches of pip and uv, which are this machine's own.
    """

    command: Path
    folder: Path
    home: Path
    caches: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the tests' own environment, but how packages are found."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL", "DROPVEC"))
        }
        kept.pop("XDG_CACHE_HOME", None)
        # pip asks rustc for its version, and rustup would write its settings into the home.
        own = {
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "RUSTUP_HOME": str(self.home.parent / "rustup"),
        }
        return kept | self.caches | own | {"PIP_NO_COMPILE": "1"}

    def run(self, *arguments: str | Path, **variables: str) -> Done:
        """Run `dropvec` in the folder."""
        environment = self.environment | variables
        command = [str(self.command), *map(str, arguments)]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def written(self) -> set[str]:
        """The first two parts of the paths that were written in the folder and in the home."""
        here = {f"./{path.relative_to(self.folder).parts[0]}" for path in self.folder.rglob("*")}
        files = (path.relative_to(self.home) for path in self.home.rglob("*") if path.is_file())
        return here | {"/".join(["~", *path.parts[:2]]) for path in files}


@pytest.fixture(scope="session", autouse=True)
def _pip_settings() -> Iterator[None]:
    """Let uv use the index and the certificates that pip is configured with, as the installer does."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings = parse(listed.stdout)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.uv_environment(os.environ).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def caches() -> dict[str, str]:
    def said(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    return {
        "UV_CACHE_DIR": said(UV, "cache", "dir"),
        "PIP_CACHE_DIR": said(sys.executable, "-m", "pip", "cache", "dir"),
    }


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel, built from the sdist, and the sdist."""
    out = tmp_path_factory.mktemp("dist é")
    subprocess.run([UV, "build", "--quiet", "--out-dir", str(out), str(ROOT)], check=True)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a space and a letter outside ASCII in its name."""
    folder = tmp_path / "a place é"
    for name in ("empty", "home/tmp"):
        (folder / name).mkdir(parents=True)
    return folder


def environment_of(python: str, folder: Path) -> Path:
    """A new virtual environment without pip; its Python."""
    subprocess.run([UV, "venv", "--quiet", "--python", python, str(folder)], check=True)
    return folder / "bin" / "python"


def install(python: Path, requirement: str | Path, options: Sequence[str] = ()) -> None:
    """Install with uv into a virtual environment."""
    command = [UV, "pip", "install", "--quiet", "--python", str(python), *options, str(requirement)]
    subprocess.run(command, cwd=ROOT, check=True)


def program(name: str) -> str:
    """A program that these tests need.

    Raises:
        RuntimeError: it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"these tests need {name}")
    return found
