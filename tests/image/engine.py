"""Run buildah and podman with a store and settings in `build/image`, separate from the machine's."""

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
# For machines without systemd where limits cannot be raised.
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
    """buildah or podman failed; the text is the end of its output."""


def environment() -> dict[str, str]:
    """The environment for every call of buildah and podman."""
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
    """Run a command; returns its standard output, including standard error if `errors` is `subprocess.STDOUT`.

    Raises:
        EngineError: the command failed.
    """
    done = subprocess.run(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True, check=False
    )
    if done.returncode != 0:
        raise EngineError(f"{' '.join(command[:3])} …: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def podman(*arguments: str, errors: int = subprocess.PIPE) -> str:
    """Run podman; see `run`."""
    return run("podman", *arguments, errors=errors)


def release() -> None:
    """Unmount everything below the folder, so that it can be deleted."""
    run("sh", str(Path(__file__).with_name("release.sh")), str(FOLDER))


def exists(image: str) -> bool:
    """Whether an image is in the store."""
    command = ["podman", "image", "exists", image]
    return subprocess.run(command, env=environment(), capture_output=True, check=False).returncode == 0


def build_image(model: str, tag: str, base: str) -> subprocess.CompletedProcess[str]:
    """Build an image as `make image` does, with buildah; `model` is a model's name or a bundle's directory."""
    command = [sys.executable, "-m", "infra", "image", model, "--tag", tag, "--base", base, "--engine", "buildah"]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
