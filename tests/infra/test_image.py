"""The command that builds the container image, without building one."""

import argparse
import platform
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from infra.cli import image as image_command
from infra.cli.main import main
from infra.common.errors import OperatorError
from infra.common.paths import ROOT
from infra.common.pip_settings import Settings, parse
from infra.container.build import Build, build, build_command, find_engine
from infra.container.trim import read_patterns, trim

SHA256 = "ab" * 32


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only entry of PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}")
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)


def recorder(folder: Path, name: str = "buildah") -> Path:
    """A fake engine that records its arguments and the files that it gets."""
    seen = folder / "seen"
    script = f"""\
case "$1" in info | version) exit 0 ;; esac
for word in "$@"; do echo "$word" >> {seen}; done
for word in "$@"; do case $word in
    MODEL=/context/*) cd {ROOT}/${{word#MODEL=/context/}} 2>/dev/null && echo * > {seen}.model ;;
    id=pip.conf*) while read -r line; do echo "$line"; done < ${{word#*src=}} > {seen}.pip ;;
esac; done
exit 0"""
    program(folder, name, script)
    return seen


def test_without_an_engine_the_error_says_what_to_install(programs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["image"]) == 1
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    assert "docker, podman or buildah" in error
    assert "apt-get install buildah" in error


def test_an_engine_that_does_not_work_is_skipped(programs: Path) -> None:
    program(programs, "docker", "exit 1")  # installed, but its daemon is not running
    program(programs, "podman", "exit 0")
    program(programs, "buildah", "exit 0")
    assert find_engine() == "podman"
    with pytest.raises(OperatorError, match="check with `docker version`"):
        find_engine("docker")


def test_a_shipped_model_is_built_by_its_name(programs: Path) -> None:
    seen = recorder(programs)
    assert main(["image", "efficientnet-lite0", "--tag", "dropvec:1", "--base", "base@sha256:1", "--no-text"]) == 0
    words = seen.read_text("utf-8").splitlines()
    assert words[0] == "build"
    assert {"MODEL=efficientnet-lite0", "BASE_IMAGE=base@sha256:1", "BAKE_OPTIONS=--no-text", "dropvec:1"} <= set(words)
    assert words[-1] == "."


@pytest.mark.parametrize("engine", ["docker", "podman", "buildah"])
def test_each_build_sets_its_own_labels(programs: Path, engine: str) -> None:
    """The labels are options of the build command, because builders cache labels of the Dockerfile."""
    seen = recorder(programs, engine)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    for revision, base in (("first", "base@sha256:1"), ("second", None)):
        program(programs, "git", f"echo {revision}")
        seen.unlink(missing_ok=True)
        build(Build("efficientnet-lite0", "dropvec:1", base=base))
        words = seen.read_text("utf-8").splitlines()
        labels = [words[at + 1] for at, word in enumerate(words) if word == "--label"]
        assert labels == [
            f"org.opencontainers.image.version={version}",
            f"org.opencontainers.image.revision={revision}",
            f"org.opencontainers.image.base.name={base or 'public.ecr.aws/lambda/python:3.13'}",
        ]


def test_no_label_of_the_dockerfile_depends_on_the_build() -> None:
    text = (ROOT / "infra" / "Dockerfile").read_text("utf-8").replace("\\\n", "")
    labels = [line for line in text.splitlines() if line.startswith("LABEL ")]
    assert labels
    assert not any("$" in line for line in labels)


def test_a_users_bundle_is_in_the_context_during_the_build(programs: Path, tiny_bundle: Path) -> None:
    seen = recorder(programs)
    build(Build(str(tiny_bundle), "dropvec:own"))
    assert sorted(Path(f"{seen}.model").read_text("utf-8").split()) == ["image.onnx", "model.json"]
    (word,) = [word for word in seen.read_text("utf-8").splitlines() if word.startswith("MODEL=")]
    staged = ROOT / word.removeprefix("MODEL=/context/")
    assert staged.is_relative_to(ROOT / "build" / "image" / "context")  # included by `.dockerignore`
    assert not staged.exists()


def test_a_manifest_is_copied_with_the_files_beside_it(programs: Path, tmp_path: Path) -> None:
    seen = recorder(programs)
    folder = tmp_path / "own"
    folder.mkdir()
    for name in ("own.toml", "own.onnx"):
        (folder / name).write_text(name, "utf-8")
    build(Build(str(folder / "own.toml"), "dropvec:own"))
    (word,) = [word for word in seen.read_text("utf-8").splitlines() if word.startswith("MODEL=")]
    assert word.startswith("MODEL=/context/build/image/context/")
    assert word.endswith("/model/own.toml")


def test_an_unknown_model_is_refused(programs: Path) -> None:
    recorder(programs)
    with pytest.raises(OperatorError, match="nothing-of-that is neither the name of a manifest"):
        build(Build("nothing-of-that", "dropvec:none"))


def test_a_folder_with_far_more_than_a_model_is_refused(programs: Path, tmp_path: Path) -> None:
    recorder(programs)
    for number in range(1001):
        (tmp_path / f"{number}.txt").touch()
    (tmp_path / "own.toml").touch()
    with pytest.raises(OperatorError, match="into a folder of their own"):
        build(Build(str(tmp_path / "own.toml"), "dropvec:own"))


def test_a_failed_build_is_an_error(programs: Path) -> None:
    program(programs, "buildah", '[ "$1" = info ]')
    with pytest.raises(OperatorError, match="buildah could not build dropvec:broken"):
        build(Build("efficientnet-lite0", "dropvec:broken"))


def test_an_architecture_that_cannot_run_here_is_refused_before_the_build(programs: Path) -> None:
    seen = recorder(programs)
    other = "x86_64" if platform.machine() in {"aarch64", "arm64"} else "arm64"
    emulated = Path("/proc/sys/fs/binfmt_misc", "qemu-x86_64" if other == "x86_64" else "qemu-aarch64").exists()
    wanted = Build("efficientnet-lite0", "dropvec:other", architecture=other)
    if emulated or platform.system() != "Linux":
        build(wanted)
        assert seen.exists()
    else:
        with pytest.raises(OperatorError, match=f"cannot run {other} programs"):
            build(wanted)
        assert not seen.exists()


@pytest.mark.parametrize(("architecture", "builders"), [("x86_64", "linux/amd64"), ("arm64", "linux/arm64")])
def test_architectures_are_the_builders_platforms(architecture: str, builders: str) -> None:
    command = build_command("docker", Build("m", "t", architecture=architecture), {}, {}, {"ca.pem": Path("/ca")})
    assert command[command.index("--platform") + 1] == builders
    assert command[command.index("--secret") + 1] == "id=ca.pem,src=/ca"
    assert "--provenance=false" in command  # Lambda does not accept an index of manifests


def parsed(*arguments: str) -> argparse.Namespace:
    defaults = argparse.Namespace(accept=[], mirror=None, text=True, labels=None, label_template="{}")
    return argparse.Namespace(**vars(defaults) | dict(zip(arguments[::2], arguments[1::2], strict=True)))


def test_bake_options_are_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPVEC_MIRROR", "http://mirror.test/")
    arguments = parsed("label_template", "it's a {}", "labels", "labels.txt")
    arguments.accept = [SHA256]
    options = image_command.bake_options(arguments)
    assert options == (
        *("--accept", SHA256, "--mirror", "http://mirror.test/"),
        *("--label-template", "it's a {}"),
    )
    assert shlex.split(shlex.join(options)) == list(options)


def test_the_build_uses_the_package_index_of_this_machine() -> None:
    settings = parse(
        "global.cert='/nowhere/ca.pem'\n"
        "global.extra-index-url='file:///somewhere/simple https://more.test/simple'\n"
        "global.index-url='https://a-file.test/simple'\n"
        ":env:.index-url='https://the-environment.test/simple'\n"
        "freeze.exclude='x'\n"
    )
    assert settings.values["index-url"] == "https://the-environment.test/simple"
    assert settings.certificates is None
    assert settings.file("/run/secrets/ca.pem") == (
        "[global]\nextra-index-url = https://more.test/simple\nindex-url = https://the-environment.test/simple\n"
    )


def test_certificates_have_their_path_inside_the_build(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    settings = parse(f"global.cert='{ca}'\n")
    assert settings.certificates == ca
    assert settings.file("/run/secrets/ca.pem") == "[global]\ncert = /run/secrets/ca.pem\n"
    assert Settings().file("/run/secrets/ca.pem") == ""


def test_the_build_gets_the_index_as_a_secret(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = recorder(programs)
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.test/simple")
    build(Build("efficientnet-lite0", "dropvec:1"))
    assert "index-url = https://mirror.test/simple" in Path(f"{seen}.pip").read_text("utf-8").splitlines()
    words = seen.read_text("utf-8").splitlines()
    assert not any(
        "mirror.test" in word for word in words
    )  # not a build argument, because the URL may contain a password


def test_trimming_deletes_matching_files_and_folders_only(tmp_path: Path) -> None:
    for name in ("a/tests/test_a.py", "a/kept.py", "b/b.pyi", "b/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    assert trim(read_patterns("# why\n\n**/tests\n**/*.pyi\n"), tmp_path) == 10
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["b.py", "kept.py"]


def test_a_pattern_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file matches gone/"):
        trim(["gone/*"], tmp_path)


def test_the_build_context_has_the_complete_command_line(tmp_path: Path) -> None:
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        path = ROOT / line.removeprefix("!")
        if line.startswith("!infra") and path.is_dir():
            shutil.copytree(path, tmp_path / line[1:], ignore=shutil.ignore_patterns("__pycache__"))
        elif line.startswith("!infra"):
            (tmp_path / line[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, tmp_path / line[1:])
    code = "from infra.cli.main import main; main(['bake', '--help'])"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
