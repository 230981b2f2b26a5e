"""Build the function's container image with docker, podman or buildah."""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.common.errors import OperatorError
from infra.common.files import create_folder
from infra.common.paths import BUILD, DOCKERFILE, HANDLER, INSTALLED, MANIFESTS, PROJECT, ROOT
from infra.common.pip_settings import Settings, pip_settings
from infra.common.text import suggestion

# Files of the user's own model are copied here, because `.dockerignore` includes this folder in the build context.
_CONTEXT = Path("build", "image", "context")

# Lambda's names of architectures -> those of container builders.
_PLATFORMS = {"x86_64": "amd64", "arm64": "arm64"}

_ENGINES: Mapping[str, tuple[str, ...]] = {
    # With provenance the image is an index of manifests, which Lambda does not accept.
    "docker": ("docker", "buildx", "build", "--load", "--provenance=false"),
    "podman": ("podman", "build", "--layers", "--force-rm"),
    "buildah": ("buildah", "build", "--layers", "--force-rm"),
}
# A subcommand that succeeds only if the engine can build.
_PROBES = {"docker": "version", "podman": "info", "buildah": "info"}
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_MAX_FILES, _MAX_BYTES = 1000, 8 << 30


@dataclass(frozen=True)
class Build:
    """The settings of a build.

    Attributes:
        model: the name of a manifest in infra/manifests, the path of a manifest, or a bundle's directory.
        tag: the image's name, such as `dropvec:latest`.
        base: the base image; None for the default of the Dockerfile.
        architecture: `x86_64` or `arm64`; None for this machine's.
        bake: options of `python -m infra bake`.
        labels: the file for its option `--labels`.
        engine: docker, podman or buildah; None for the first that works.
    """

    model: str
    tag: str
    base: str | None = None
    architecture: str | None = None
    bake: tuple[str, ...] = ()
    labels: Path | None = None
    engine: str | None = None


def build(wanted: Build) -> None:
    """Build the image; the engine prints its own progress.

    Raises:
        OperatorError: no engine works, or the build failed.
    """
    engine = find_engine(wanted.engine)
    if wanted.architecture:
        _check_architecture(wanted.architecture)
    with ExitStack() as stack:
        root = stack.enter_context(_build_context())
        model = stack.enter_context(_staged(wanted.model, root))
        bake = [*wanted.bake, *stack.enter_context(_staged_labels(wanted.labels, root))]
        secrets = stack.enter_context(_secrets(pip_settings()))
        arguments = {"MODEL": model, "BAKE_OPTIONS": shlex.join(bake), "BASE_IMAGE": wanted.base}
        output = sys.stderr if sys.stdout is sys.stderr else None  # redirected for --json
        command = build_command(engine, wanted, arguments, _image_labels(wanted.base), secrets)
        done = subprocess.run(command, cwd=root, stdout=output, check=False)
    if done.returncode != 0:
        raise OperatorError(f"{engine} could not build {wanted.tag}; the reason is in its output above")
    print(f"Built {wanted.tag} with {wanted.model}. Its software bill of materials is /opt/dropvec.cdx.json.")


def find_engine(name: str | None = None) -> str:
    """Find an engine that works.

    Args:
        name: the engine to use; None for the first that works.

    Raises:
        OperatorError: no engine works, or the named one does not.
    """
    for engine in [name] if name else _ENGINES:
        if shutil.which(engine) and _works(engine):
            return engine
    if name:
        raise OperatorError(f"{name} is not installed or not running; check with `{name} {_PROBES[name]}`")
    raise OperatorError(
        "building an image needs docker, podman or buildah, and none of them is installed and running; start Docker, "
        "or install one (Debian and Ubuntu: apt-get install buildah)"
    )


def build_command(
    engine: str,
    wanted: Build,
    arguments: Mapping[str, str | None],
    labels: Mapping[str, str],
    secrets: Mapping[str, Path],
) -> list[str]:
    """The build command, to run in the repository; arguments that are None or empty keep their defaults."""
    command = [*_ENGINES[engine], "--file", str(DOCKERFILE.relative_to(ROOT)), "--tag", wanted.tag]
    if wanted.architecture:
        command += ["--platform", f"linux/{_PLATFORMS[wanted.architecture]}"]
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"] if value else []
    for name in (name for name in _PROXIES if name in os.environ):
        command += ["--build-arg", name]  # predefined arguments, which builders do not store in the image
    for name, value in labels.items():
        command += ["--label", f"org.opencontainers.image.{name}={value}"]
    for name, path in secrets.items():
        command += ["--secret", f"id={name},src={path}"]
    return [*command, "."]


def _works(engine: str) -> bool:
    done = subprocess.run([engine, _PROBES[engine]], capture_output=True, check=False)
    return done.returncode == 0


def _check_architecture(wanted: str) -> None:
    """Check that this machine can run programs of an architecture; outside Linux, engines include an emulator."""
    machine = {"aarch64": "arm64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    emulators = Path("/proc/sys/fs/binfmt_misc")
    name = {"arm64": "qemu-aarch64"}.get(wanted, f"qemu-{wanted}")
    if machine == wanted or platform.system() != "Linux" or (emulators / name).exists():
        return
    raise OperatorError(
        f"this machine ({machine}) cannot run {wanted} programs; build on one that can, or install an emulator "
        "(docker run --privileged --rm tonistiigi/binfmt --install all)"
    )


@contextmanager
def _staged(model: str, root: Path) -> Iterator[str]:
    """The Dockerfile's argument MODEL; the user's own model is copied into the build context within the block.

    Raises:
        OperatorError: it is neither the name of a shipped model, nor a manifest, nor a bundle.
    """
    path = Path(model)
    if (path / "model.json").is_file():
        folder, name = path, ""
    elif model.endswith(".toml") and path.is_file():
        folder, name = path.parent, path.name
    elif (MANIFESTS / f"{model}.toml").is_file():
        yield model
        return
    else:
        raise OperatorError(
            f"{model} is neither the name of a manifest in infra/manifests, nor a manifest (.toml), nor a bundle's "
            f"directory{suggestion(model, (path.stem for path in MANIFESTS.glob('*.toml')))}"
        )
    _check_size(folder)
    with _scratch(root) as scratch:
        shutil.copytree(folder, scratch / "model", copy_function=_link_or_copy)
        yield str(Path("/context") / (scratch / "model" / name).relative_to(root))


@contextmanager
def _staged_labels(labels: Path | None, root: Path) -> Iterator[list[str]]:
    if labels is None:
        yield []
        return
    if not labels.is_file():
        raise OperatorError(f"the file of labels {labels} does not exist")
    with _scratch(root) as scratch:
        shutil.copy(labels, scratch / "labels.txt")
        yield ["--labels", str(Path("/context") / (scratch / "labels.txt").relative_to(root))]


@contextmanager
def _build_context() -> Iterator[Path]:
    """The folder that the engine builds from: the checkout, or a copy of the files that an installed copy has."""
    if not INSTALLED:
        yield ROOT
        return
    create_folder(BUILD)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix=".image-") as folder:
        root = Path(folder)
        shutil.copytree(HANDLER, root / "handler", ignore=shutil.ignore_patterns("__pycache__"))
        unneeded = shutil.ignore_patterns("__pycache__", "events", PROJECT.name)
        shutil.copytree(ROOT / "infra", root / "infra", ignore=unneeded)
        shutil.copy(PROJECT, root)
        yield root


@contextmanager
def _scratch(root: Path) -> Iterator[Path]:
    create_folder(root / _CONTEXT)
    with tempfile.TemporaryDirectory(dir=root / _CONTEXT) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def _check_size(folder: Path) -> None:
    files = total = 0
    for path in folder.rglob("*"):
        files, total = files + 1, total + path.stat().st_size
        if files > _MAX_FILES or total > _MAX_BYTES:
            raise OperatorError(
                f"{folder} has more than {_MAX_FILES} files or {_MAX_BYTES >> 30} GiB; put the manifest and its files "
                "into a folder of their own"
            )


def _link_or_copy(source: str, target: str) -> None:
    """Create a hard link, or a copy if the file system does not allow that."""
    try:
        os.link(Path(source).resolve(), target)
    except OSError:
        shutil.copy(source, target)


@contextmanager
def _secrets(settings: Settings) -> Iterator[Mapping[str, Path]]:
    """Pip's settings on this machine, as secrets of the build: they do not become part of the image."""
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, Path] = {}
        if settings.certificates:
            found["ca.pem"] = settings.certificates
        text = settings.file("/run/secrets/ca.pem")
        if text:
            found["pip.conf"] = Path(folder) / "pip.conf"
            found["pip.conf"].write_text(text, "utf-8")
        yield found


def _image_labels(base: str | None) -> dict[str, str]:
    """Labels of this build: the code's version and commit, and the base image's name."""
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    (default,) = re.findall(r"^ARG BASE_IMAGE=(\S+)$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    return {"version": str(project["version"]), "revision": _revision(), "base.name": base or default}


def _revision() -> str:
    if INSTALLED:
        return ""
    git: Sequence[str] = ("git", "-C", str(ROOT), "rev-parse", "HEAD")
    try:
        return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
