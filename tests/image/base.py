"""Build a base image that resembles Lambda's, so that the tests do not need AWS's registry."""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.common import wheels
from infra.common.paths import CACHE, ROOT
from tests.image.engine import FOLDER, exists, run

_SUITE = "trixie"
_PACKAGES = "python3,python3-pip,ca-certificates"
_MIRROR = "http://deb.debian.org/debian"

_RECIPE = Path(__file__).with_name("base")

# The runtime interface emulator of AWS's base images, for each architecture; the wheel of aws-sam-cli contains it.
_SAM = "aws-sam-cli==1.170.0"
_EMULATOR = {
    "x86_64": ("x86_64", "6b1e686e62ab2baf5759c412c4864276ef2a88b094fca53ec070637ccba9b9a5"),
    "aarch64": ("arm64", "ec2e5d09633d853834c008b1ef264bf834b258a94d551d2b2074966494b39a21"),
}
_CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")


def base_image() -> str:
    """The name of the base image, which is built once and again when its recipe changes.

    Raises:
        EngineError: the build failed.
        OperatorError: a package cannot be downloaded.
    """
    name = f"localhost/dropvec-test-base:{_recipe()}"
    if not exists(name):
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            context = Path(folder)
            shutil.copytree(_RECIPE, context, dirs_exist_ok=True)
            _fetch(context)
            run("buildah", "build", "--tag", name, ".", folder=context)
    return name


def _recipe() -> str:
    pins = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if line.startswith(_CLIENT)]
    parts = [path.read_bytes() for path in sorted(_RECIPE.iterdir())]
    parts += [Path(__file__).read_bytes(), "\n".join(pins).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _fetch(context: Path) -> None:
    machine = platform.machine()
    architecture, sha256 = _EMULATOR[machine]
    member = f"samcli/local/rapid/aws-lambda-rie-{architecture}"
    (emulator,) = wheels.fetch(_SAM, {member: sha256}, CACHE / "emulator")
    shutil.copy(emulator, context / "aws-lambda-rie")
    _fetch_client(context / "wheels", machine)
    rootfs = str(context / "rootfs.tar")
    run("mmdebstrap", "--variant=minbase", f"--include={_PACKAGES}", *_slim(), _SUITE, rootfs, _MIRROR)


def _fetch_client(folder: Path, machine: str) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    platforms = [word for tag in ("manylinux2014", "manylinux_2_28") for word in ("--platform", f"{tag}_{machine}")]
    pins = ["--constraint", str(ROOT / "constraints.txt"), "--python-version", "3.13", "--dest", str(folder)]
    subprocess.run([*pip, *platforms, *pins, *_CLIENT], check=True, stderr=subprocess.DEVNULL)


def _slim() -> list[str]:
    return [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale")]
