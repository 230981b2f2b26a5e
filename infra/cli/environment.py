"""Install sets of packages into the virtual environments of a checkout, with uv. Standard library only.

An environment grows set by set. A file `.ready-SET` says that a set is complete; a file `.installing` says that an
installation was interrupted, and the next one then starts with a new environment. What was downloaded by then is in the
caches of pip and uv, so it is not downloaded again.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from infra.cli.package_sets import SETS, PackageSet
from infra.cli.subprocesses import run_stoppable
from infra.common.errors import OperatorError
from infra.common.paths import ROOT
from infra.common.pip_settings import Settings, base_python, parse
from infra.common.signals import Terminated, terminations_raised

_UV = "uv>=0.8,<1"
_UV_FOLDER = ".uv"
_INSTALLING = ".installing"
_OLDEST_UV = (0, 8)


def main(name: str) -> int:
    """Install one set, for make; the exit code."""
    try:
        with terminations_raised():
            install(name)
    except OperatorError as error:
        print(f"dropvec: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stopped:
        print(f"dropvec: stopped {stopped}".strip(), file=sys.stderr)
        return 130
    except Terminated as ended:
        print("dropvec: stopped by a signal", file=sys.stderr)
        return 128 + ended.signum
    return 0


def install(name: str) -> Path:
    """Install a set of packages into its environment, unless it is there; return the environment's Python.

    Raises:
        OperatorError: the environment cannot be written, or no package index has the packages.
    """
    wanted = SETS[name]
    folder = ROOT / wanted.venv
    marker, python = folder / f".ready-{name}", folder / "bin" / "python"
    with _locked(folder):
        if is_installed(name):
            with suppress(OSError):
                marker.touch()  # make compares times
            return python
        _say(f"Installing the packages of `{name}` into {wanted.venv} (once, about {wanted.megabytes} MB) ...")
        started = time.monotonic()
        try:
            _install(folder, wanted)
        except OSError as error:
            raise _unwritable(folder, error) from None
        marker.write_text(_version(name), "utf-8")
        _say(f"Installed them in {time.monotonic() - started:.0f} s.")
    return python


def is_installed(name: str) -> bool:
    """Whether a set is installed as pyproject.toml and the constraints now say."""
    folder = ROOT / SETS[name].venv
    return (folder / "bin" / "python").exists() and _read(folder / f".ready-{name}") == _version(name)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Create the folder, and keep other installations out of it."""
    try:
        folder.mkdir(exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"Waiting for another installation into {folder.name} ...")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _install(folder: Path, wanted: PackageSet) -> None:
    python = folder / "bin" / "python"
    interrupted = folder / _INSTALLING
    if interrupted.exists() or not _runs(python):
        _clear(folder)
    interrupted.touch()
    if not python.exists():
        _create(folder)
    settings = _pip_settings(folder)
    environment = settings.uv_environment(os.environ) | _uv_cache(folder)
    command = [_uv(folder), "pip", "install", "--no-progress", "--python", str(python), *settings.uv_options()]
    _run([*command, *_what(wanted), "--constraint", wanted.constraints], environment)
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    interrupted.unlink()


def _what(wanted: PackageSet) -> list[str]:
    if wanted.packages:
        return list(wanted.packages)
    extras = [word for extra in wanted.extras for word in ("--extra", extra)]
    groups = [word for group in wanted.groups for word in ("--group", group)]
    return ["--requirements", "pyproject.toml", *extras, *groups]


def _clear(folder: Path) -> None:
    """Empty an environment, but for uv."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            if path.name != _UV_FOLDER:
                shutil.rmtree(path)
        else:
            path.unlink()


def _create(folder: Path) -> None:
    done = subprocess.run(
        [base_python(), "-m", "venv", "--without-pip", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise OperatorError(f"could not create {folder.name} with `{base_python()} -m venv`: {lines[-1]}")


def _uv(folder: Path) -> str:
    """A uv: the one on the PATH if it is recent, else one that pip installs beside the environment's packages."""
    found = shutil.which("uv")
    if found and _is_recent(found):
        return found
    own = folder / _UV_FOLDER / "bin" / "uv"
    if not _is_recent(str(own)):
        _say("  uv, which installs the others")
        options = ["--quiet", "--disable-pip-version-check", "--no-input", "--upgrade", "--target"]
        allowed = os.environ | {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}
        _run([*_pip(folder), "install", *options, str(folder / _UV_FOLDER), _UV], allowed)
    return str(own)


def _is_recent(uv: str) -> bool:
    try:
        said = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return False
    version = re.match(r"uv (\d+)\.(\d+)", said)
    return version is not None and (int(version[1]), int(version[2])) >= _OLDEST_UV


def _runs(python: Path) -> bool:
    """Whether a Python runs: it does not after the Python that the environment was made with is gone."""
    return python.exists() and subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


@cache
def _pip(folder: Path) -> list[str]:
    """How to run pip with the Python that the environment is made with; some systems have it in new environments only.

    Raises:
        OperatorError: there is no pip.
    """
    python = base_python()
    if subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode == 0:
        return [python, "-m", "pip"]
    own = folder / ".pip"
    if not (own / "bin" / "pip").exists():
        subprocess.run([python, "-m", "venv", "--clear", str(own)], capture_output=True, check=False)
    if not (own / "bin" / "pip").exists():
        raise OperatorError(
            f"needs pip or uv to install its packages, and {python} has no pip; install it (Debian and Ubuntu: "
            "apt-get install python3-pip python3-venv), or install uv"
        )
    return [str(own / "bin" / "python"), "-m", "pip"]


def _pip_settings(folder: Path) -> Settings:
    """Settings of pip: a mirror that pip is configured to use is used by uv, too."""
    try:
        listed = subprocess.run([*_pip(folder), "config", "list"], capture_output=True, text=True, check=False)
    except OperatorError:
        return Settings()
    return parse(listed.stdout) if listed.returncode == 0 else Settings()


def _uv_cache(folder: Path) -> dict[str, str]:
    """A cache for uv in the environment, if the user's cannot be written."""
    named = os.environ.get("UV_CACHE_DIR") or os.path.expanduser(  # noqa: PTH111 - Path.home raises without a home
        f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/uv"
    )
    try:
        Path(named).mkdir(parents=True, exist_ok=True)
        (Path(named) / f".dropvec-{os.getpid()}").touch()
        (Path(named) / f".dropvec-{os.getpid()}").unlink()
    except OSError:
        return {"UV_CACHE_DIR": str(folder / ".cache")}
    return {}


def _run(command: list[str], environment: dict[str, str]) -> None:
    """Run pip or uv, and show each download.

    Raises:
        OperatorError: it failed.
        KeyboardInterrupt, Terminated: a signal arrived; the process and its children have ended.
    """
    lines: list[str] = []

    def show(line: str) -> None:
        lines.append(line)
        if large := re.fullmatch(r"\s*Downloading (\S+) \((\S+?)iB\)\s*", line):
            _say(f"  {large[1]}, {large[2]}B")

    if run_stoppable(command, ROOT, environment, show, "the installation; the same command continues it") != 0:
        raise OperatorError(_reason(lines))


def _reason(lines: list[str]) -> str:
    """One line out of what pip or uv printed."""
    text = [line.strip() for line in lines if line.strip()]
    errors = [line for line in text if line.lower().startswith(("error", "cause"))]
    first = errors[0] if errors else (text or ["no message"])[-1]
    last = errors[-1] if len(errors) > 1 else ""
    said = f"{first} {last}".strip()
    return (
        "could not install its packages from a Python package index; check the network, or configure a mirror "
        f"(python3 -m pip config set global.index-url URL), then run the same command again: {said[:300]}"
    )


def _unwritable(folder: Path, error: OSError) -> OperatorError:
    return OperatorError(
        f"cannot write {folder} ({error.strerror}); copy the checkout to a folder that you can write, or install the "
        f"command instead: pipx install {ROOT}"
    )


def _version(name: str) -> str:
    """What an installed set depends on, hashed."""
    wanted = SETS[name]
    files = [(ROOT / file).read_bytes() for file in ("pyproject.toml", wanted.constraints)]
    parts = [repr(wanted).encode(), name.encode(), sys.version.encode(), *files]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError:
        return ""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
