"""buildah and podman with a store and settings of their own, in `build/image`: the machine's stay untouched."""

import os
import subprocess
import sys
from pathlib import Path

from infra.common.paths import BUILD, ROOT

FOLDER = BUILD / "image"

_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/store"
runroot = "{folder}/run"
"""
# Where there is no systemd, and the machine lets nobody raise limits.
_ENGINE = """\
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
runtime = "runc"
tmp_dir = "{folder}/run/engine"
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
log_driver = "k8s-file"
"""


class EngineError(Exception):
    """buildah or podman failed; the text is what it said last."""


def environment() -> dict[str, str]:
    """For every call of buildah and podman."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    storage, engine = FOLDER / "storage.conf", FOLDER / "containers.conf"
    storage.write_text(_STORAGE.format(folder=FOLDER), "utf-8")
    engine.write_text(_ENGINE.format(folder=FOLDER), "utf-8")
    return os.environ | {
        "CONTAINERS_STORAGE_CONF": str(storage),
        "CONTAINERS_CONF": str(engine),
        "BUILDAH_ISOLATION": "chroot",
    }


def run(*command: str, folder: Path | None = None, errors: int = subprocess.PIPE) -> str:
    """Run a command to its end; gives its standard output, with its errors in it where they are `subprocess.STDOUT`.

    Raises:
        EngineError: it failed.
    """
    done = subprocess.run(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True, check=False
    )
    if done.returncode != 0:
        raise EngineError(f"{' '.join(command[:3])} …: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def podman(*arguments: str, errors: int = subprocess.PIPE) -> str:
    """As `run`, of podman."""
    return run("podman", *arguments, errors=errors)


def release() -> None:
    """Leave nothing mounted, so that the folder can be removed."""
    run("sh", str(Path(__file__).with_name("release.sh")), str(FOLDER))


def exists(image: str) -> bool:
    """Whether the store has an image."""
    command = ["podman", "image", "exists", image]
    return subprocess.run(command, env=environment(), capture_output=True, check=False).returncode == 0


def build_image(model: str, tag: str, base: str) -> subprocess.CompletedProcess[str]:
    """What `make image` does, with buildah: a model's name or a bundle's folder into an image on a base."""
    command = [sys.executable, "-m", "infra", "image", model, "--tag", tag, "--base", base, "--engine", "buildah"]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
