"""The content of the image, and builds that must fail."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from infra.common.local_session import ACCESS_KEY
from infra.common.paths import ROOT
from infra.container.trim import read_patterns, trim
from tests.image.engine import build_image, exists, podman, run
from tests.infra.test_image_lock import RUNTIME, pins, project
from tests.support.bundles import write_tiny_bundle

MEGABYTE = 1_000_000
MOST_BYTES = 150 * MEGABYTE

# Flags of a `.pyc` that is not checked against its source (PEP 552).
_UNCHECKED = 0b01


def layers(image: str, base: str) -> dict[str, int]:
    """Unpacked size in bytes of each layer of an image above its base, by the command that created it."""
    history = json.loads(podman("history", "--no-trunc", "--format", "json", image))
    below = len(json.loads(podman("history", "--format", "json", base)))
    return {entry["CreatedBy"]: entry["size"] for entry in history[: len(history) - below] if entry["size"]}


def test_it_adds_less_than_150_mb_besides_the_model(image: str, base: str) -> None:
    found = layers(image, base)
    (model,) = (made for made in found if made.endswith("in /opt/model "))
    added = sum(found.values()) - found[model]
    assert 50 * MEGABYTE < added <= MOST_BYTES


def test_the_entry_point_user_environment_and_labels(image: str) -> None:
    (facts,) = json.loads(podman("image", "inspect", image))
    config = facts["Config"]
    assert config["Entrypoint"] == ["/lambda-entrypoint.sh"]  # from the base image
    assert (config["Cmd"], config["User"], config["WorkingDir"]) == (
        ["handler.app.handler"],
        "65534:65534",
        "/var/task",
    )
    environment = dict(variable.split("=", 1) for variable in config["Env"])
    assert (environment["MODEL_DIR"], environment["OPENBLAS_NUM_THREADS"]) == ("/opt/model", "1")
    assert environment["ORT_DISABLE_TELEMETRY"] == "1"
    labels = {name.rpartition(".")[2]: value for name, value in facts["Labels"].items() if "opencontainers" in name}
    assert (labels["title"], labels["licenses"]) == ("dropvec", "MIT")
    assert labels["revision"] == run("git", "rev-parse", "HEAD", folder=ROOT).strip()
    assert labels["version"] == project()["project"]["version"]
    assert labels["name"].startswith("localhost/dropvec-test-base:")


def test_every_file_is_readable_and_the_model_is_not_writable(unpacked: Path) -> None:
    files = [*(unpacked / "var" / "task").rglob("*"), *(unpacked / "opt").rglob("*")]
    assert len(files) > 500
    closed = [path for path in files if path.stat().st_mode & (0o555 if path.is_dir() else 0o444) < 0o444]
    assert closed == []
    assert [path for path in (unpacked / "opt" / "model").iterdir() if path.stat().st_mode & 0o222] == []


def test_every_module_is_compiled_with_an_unchecked_hash(unpacked: Path) -> None:
    sources = list((unpacked / "var" / "task").rglob("*.py"))
    assert len(sources) > 300
    for source in sources:
        compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
        assert int.from_bytes(compiled.read_bytes()[4:8], "little") == _UNCHECKED, source


@pytest.mark.parametrize("event", [{"check": True}, {"images": []}], ids=["cold-start", "direct"])
def test_no_module_is_compiled_at_start(image: str, event: object) -> None:
    program = f"""
import os, sys
sys.path[:0] = ["/var/task", "/var/runtime"]
import awslambdaric.__main__
from handler.app import handler
handler({event!r}, None)
loaded = [module.__spec__ for module in list(sys.modules.values()) if getattr(module, "__spec__", None)]
cached = [spec for spec in loaded if spec.cached and spec.origin and spec.origin.endswith(".py")]
print(len(cached), [spec.name for spec in cached if not os.path.exists(spec.cached)])
"""
    settings = {"RESULTS_BUCKET": "b", "TABLE_NAME": "t", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": ACCESS_KEY}
    given = [f"--env={name}={value}" for name, value in settings.items()]
    alone = ["--rm", "--network=none", "--entrypoint=/var/lang/bin/python3"]
    *_, printed = podman("run", *alone, *given, image, "-c", program).splitlines()  # after the metrics
    count, _, missing = printed.partition(" ")
    assert int(count) > 100
    assert missing.strip() == "[]"


def test_it_has_the_locked_packages_and_no_others(unpacked: Path) -> None:
    task = unpacked / "var" / "task"
    found = {folder.name.removesuffix(".dist-info").lower().replace("_", "-") for folder in task.glob("*.dist-info")}
    marked = {"python_full_version": "3.13.5"}
    locked = {
        f"{name}-{str(pin.specifier).removeprefix('==')}"
        for (name, _), pin in pins(RUNTIME).items()
        if pin.marker is None or pin.marker.evaluate(marked)
    }
    assert found == locked


def test_it_has_no_tools_tests_or_build_files(unpacked: Path) -> None:
    task = unpacked / "var" / "task"
    for pattern in ("**/tests", "**/*.pyi", "bin", "pip*", "setuptools*", "infra*", "onnx", "cyclonedx*"):
        assert list(task.glob(pattern)) == [], pattern
    assert sorted(path.name for path in (unpacked / "opt").iterdir()) == ["dropvec.cdx.json", "model"]
    for folder in ("build", "context", "run/secrets", "root/.cache"):
        assert not (unpacked / folder).exists(), folder
    assert list((unpacked / "tmp").iterdir()) == []
    code = {path.relative_to(task) for path in (task / "handler").rglob("*.py")}
    assert code == {path.relative_to(ROOT) for path in (ROOT / "handler").rglob("*.py")}


def test_the_sbom_lists_each_package_and_the_model(unpacked: Path) -> None:
    listed = json.loads((unpacked / "opt" / "dropvec.cdx.json").read_bytes())
    spec = json.loads((unpacked / "opt" / "model" / "model.json").read_bytes())
    assert (listed["bomFormat"], listed["specVersion"]) == ("CycloneDX", "1.6")
    assert listed["metadata"]["component"]["name"] == "dropvec"
    parts = {part["name"]: part for part in listed["components"]}
    packages = {path.name.partition("-")[0].lower() for path in (unpacked / "var" / "task").glob("*.dist-info")}
    assert {name.lower().replace("-", "_") for name in parts} == packages | {spec["name"].replace("-", "_")}
    model = parts[spec["name"]]
    assert model["type"] == "machine-learning-model"
    assert model["hashes"] == [{"alg": "SHA-256", "content": spec["sha256"]}]
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert all(part["licenses"] for part in parts.values())


def test_a_bundle_with_another_vector_fails_the_build(base: str, tmp_path: Path) -> None:
    wrong = write_tiny_bundle(tmp_path / "wrong")  # its canonical vector is zero
    tag = "localhost/dropvec-test-wrong:latest"
    done = build_image(str(wrong), tag, base)
    assert done.returncode == 1
    assert "vector of the test card than the model" in done.stderr + done.stdout
    assert done.stderr.endswith(f"dropvec: buildah could not build {tag}; the reason is in its output above\n")
    assert not exists(tag)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-build.txt"])
def test_every_locked_package_has_a_wheel_for_each_architecture(machine: str, lock: str, tmp_path: Path) -> None:
    done = pip_for(machine, ROOT / "infra" / lock, tmp_path, "--dry-run")
    assert done.returncode == 0, done.stderr


def pip_for(machine: str, lock: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Install a lock file as for Python 3.13 on Linux; markers are removed, because pip evaluates them for itself."""
    plain = [line for line in lines_of(lock) if "python_full_version < '3.12'" not in line]
    wanted = folder / "wanted.txt"
    wanted.write_text("\n".join(line.partition(" ; ")[0] + hashes(line) for line in plain), "utf-8")
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(17, 29)] + [f"manylinux2014_{machine}"]
    platforms = [word for tag in tags for word in ("--platform", tag)]
    command = [sys.executable, "-m", "pip", "install", *options, "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", "--python-version=3.13", "--target", str(folder), "--requirement", str(wanted)]
    return subprocess.run([*command, *platforms], capture_output=True, text=True, check=False)


def test_the_list_of_unneeded_files_is_valid_for_arm64(tmp_path: Path) -> None:
    """For this machine's architecture, the build itself checks the list."""
    done = pip_for("aarch64", RUNTIME, tmp_path, "--no-compile")
    assert done.returncode == 0, done.stderr
    before = size_of(tmp_path)
    trim(read_patterns((ROOT / "infra" / "container" / "unneeded.txt").read_text("utf-8")), tmp_path)
    assert size_of(tmp_path) < before - 40 * MEGABYTE


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def lines_of(lock: Path) -> list[str]:
    return [line for line in lock.read_text("utf-8").replace("\\\n", " ").splitlines() if line.strip()]


def hashes(line: str) -> str:
    return " " + " ".join(word for word in line.split() if word.startswith("--hash=")) if " ; " in line else ""
