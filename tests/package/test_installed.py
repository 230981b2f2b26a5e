"""Installations from the wheel and the sdist: the command works in any folder, and writes only where it says."""

import json
import re
import shlex
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from infra.common.paths import ROOT
from tests.package.conftest import UV, VERSIONS, Installation, environment_of, find_python, install, program
from tests.support.processes import eventually

DOCUMENTED = {"~/.cache/dropvec", "./dropvec-demo", "./photo.png", "./vectors.jsonl", "./bundle"}
TWINE = "twine==7.0.0"
FOUND = [version for version in VERSIONS if find_python(version)]


def photo(folder: Path) -> Path:
    path = folder / "photo.png"
    Image.radial_gradient("L").convert("RGB").save(path)
    return path


def write_items(path: Path, result: dict[str, Any]) -> None:
    """Write two items with the vector of a result."""
    item = {name: result[name] for name in ("model", "fingerprint")} | {"embedding": result["embedding"]["embedding"]}
    path.write_text("".join(json.dumps({"source": f"s3://photos/{number}.png", **item}) + "\n" for number in range(2)))


def check_base(dropvec: Installation) -> None:
    """The commands of the base installation."""
    assert dropvec.run("--version").stdout == "dropvec 0.1.0\n"
    assert dropvec.run("--help").stdout.startswith("usage: dropvec [-h]")
    assert json.loads(dropvec.run("cost", "--json").stdout)["million_images"]
    done = dropvec.run("embed", photo(dropvec.folder))
    assert done.returncode == 0, done.stderr
    (found,) = map(json.loads, done.stdout.splitlines())
    assert len(found["embedding"]["embedding"]) == 1280
    write_items(dropvec.folder / "vectors.jsonl", found)
    done = dropvec.run("search", "photo.png", "--vectors", "vectors.jsonl", "--json")
    assert [hit["source"] for hit in json.loads(done.stdout)["hits"]] == ["s3://photos/0.png", "s3://photos/1.png"]
    done = dropvec.run("duplicates", "--vectors", "vectors.jsonl", "--json")
    assert len(json.loads(done.stdout)["groups"]) == 1, done.stderr
    assert dropvec.written() <= DOCUMENTED, dropvec.written()


def check_demo(dropvec: Installation) -> None:
    """`demo` and `up`, with their extra."""
    photos = dropvec.home.parent / "photos"
    photos.mkdir()
    photo(photos)
    done = dropvec.run("demo", "--images", photos, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["outcomes"] == {"success": 1}
    assert Path(summary["results"]) == dropvec.folder / "dropvec-demo" / "results.jsonl"
    command = [str(dropvec.command), "up", "--json"]
    with subprocess.Popen(command, cwd=dropvec.folder, env=dropvec.environment, stdout=subprocess.PIPE) as up:
        stack_file = dropvec.home / ".cache" / "dropvec" / "up" / "stack.json"
        assert eventually(stack_file.exists, 60)
        answer = dropvec.run("invoke", "direct-inline.json")
        status = dropvec.run("status", "--local", "--json")
        up.send_signal(signal.SIGINT)
        assert up.stdout is not None
        assert json.loads(up.stdout.read())["endpoint"].startswith("http://127.0.0.1:")
    assert up.returncode == 0
    assert json.loads(answer.stdout)["status"] == "ok", answer.stderr
    assert json.loads(status.stdout), status.stderr
    assert dropvec.written() <= DOCUMENTED, dropvec.written()


def test_the_distributions(distributions: tuple[Path, Path]) -> None:
    command = [UV, "tool", "run", "--quiet", "--from", TWINE, "twine", "check", "--strict", *map(str, distributions)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    wheel, sdist = distributions
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        [program("git"), "ls-files", "handler", "infra"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    expected = {name for name in tracked.stdout.splitlines() if not name.endswith((".png", ".svg"))}
    assert expected <= names
    assert {"infra/pyproject.toml", "infra/events/direct-inline.json"} <= names
    assert {name.partition("/")[0] for name in names} == {"handler", "infra", "dropvec-0.1.0.dist-info"}
    with tarfile.open(sdist) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "Makefile", "events/direct-inline.json", "tests/conftest.py"} <= files


def test_a_wheel_installed_with_pip(distributions: tuple[Path, Path], place: Path, caches: dict[str, str]) -> None:
    """First the base; then the command that a missing extra names."""
    subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True)
    python = place / "venv" / "bin" / "python"
    dropvec = Installation(place / "venv" / "bin" / "dropvec", place / "empty", place / "home", caches)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(distributions[0])]
    subprocess.run(pip, env=dropvec.environment, check=True)
    check_base(dropvec)
    assert dropvec.run("bake", "efficientnet-lite0", "--out", "bundle").stdout.strip().endswith("/bundle")
    missing = dropvec.run("demo")
    assert (missing.returncode, missing.stdout, missing.stderr.count("\n")) == (1, "", 1)
    said = re.fullmatch(r"dropvec: this command needs the extra `demo`.*; install it with: (.+)\n", missing.stderr)
    assert said, missing.stderr
    subprocess.run([*shlex.split(said[1]), "--quiet"], env=dropvec.environment, check=True)
    check_demo(dropvec)


def test_an_sdist_installed_with_uv_tool(distributions: tuple[Path, Path], place: Path, caches: dict[str, str]) -> None:
    """The environment of a tool has no pip."""
    dropvec = Installation(place / "bin" / "dropvec", place / "empty", place / "home", caches)
    folders = {"UV_TOOL_DIR": str(place / "tools"), "UV_TOOL_BIN_DIR": str(place / "bin")}
    environment = dropvec.environment | folders | {"PATH": f"{Path(UV).parent}:{dropvec.environment['PATH']}"}
    command = [UV, "tool", "install", "--quiet", "--python", sys.executable]
    subprocess.run([*command, f"{distributions[1]}[demo]"], env=environment, check=True)
    tool = Installation(dropvec.command, dropvec.folder, dropvec.home, caches | {"PATH": environment["PATH"]})
    check_base(tool)
    check_demo(tool)
    missing = tool.run("export", "--out", "vectors.parquet")
    said = re.fullmatch(r"dropvec: .*`vectors`.*; install it with: (.+)\n", missing.stderr)
    assert said, missing.stderr
    assert said[1] == f"uv tool install {shlex.quote(f'{distributions[1]}[aws,demo,vectors]')}"


@pytest.mark.parametrize("version", [version for version in FOUND if version != sys.version[:4]] or FOUND)
def test_other_pythons(version: str, distributions: tuple[Path, Path], place: Path, caches: dict[str, str]) -> None:
    python = environment_of(str(find_python(version)), place / "venv")
    install(python, distributions[0])
    check_base(Installation(python.parent / "dropvec", place / "empty", place / "home", caches))


def test_a_home_or_a_folder_that_cannot_be_written(
    distributions: tuple[Path, Path], place: Path, caches: dict[str, str]
) -> None:
    python = environment_of(sys.executable, place / "venv")
    install(python, distributions[0])
    dropvec = Installation(python.parent / "dropvec", place / "empty", place / "home", caches)
    done = dropvec.run("embed", photo(dropvec.folder), HOME="/dev/null/home")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert re.search(r"cannot write /dev/null/home/.cache/dropvec.*; set DROPVEC_CACHE to a folder", done.stderr)
    done = dropvec.run("embed", dropvec.folder / "photo.png", HOME="/dev/null/home", DROPVEC_CACHE=str(place / "cache"))
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (place / "cache").iterdir()} == {"downloads", "models"}
    done = dropvec.run("bake", "efficientnet-lite0", "--out", "/dev/null/bundle")
    assert (done.returncode, done.stderr.splitlines()[-1][:8]) == (1, "dropvec:")


def test_no_package_index_and_neither_pip_nor_uv(
    distributions: tuple[Path, Path], place: Path, caches: dict[str, str]
) -> None:
    python = environment_of(sys.executable, place / "venv")
    install(python, distributions[0])
    dropvec = Installation(python.parent / "dropvec", place / "empty", place / "home", caches)
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": "/dev/null"}
    done = dropvec.run("embed", photo(dropvec.folder), **nowhere)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(
        r"^dropvec: could not download efficientnet-lite0.*configure a mirror.*$", done.stderr, re.MULTILINE
    )
