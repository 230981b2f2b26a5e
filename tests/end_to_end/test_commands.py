"""The commands as a user runs them: exit codes, output, and files and processes that remain."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from infra.common.paths import ROOT
from tests.support.bundles import write_tiny_bundle
from tests.support.processes import eventually

DEEP = "deep er/Ü+ 100%25.png"


class Commands:
    """`python -m infra …` with a separate build folder."""

    def __init__(self, build: Path, bundle: Path) -> None:
        self.build = build
        self.bundle = bundle
        self.environment = os.environ | {"DROPVEC_BUILD": str(build), "PYTHONUNBUFFERED": "1"}

    def start(self, *arguments: str | Path, **options: Any) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "infra", *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, text=True, **(pipes | options))

    def run(self, *arguments: str | Path, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        process = self.start(*arguments)
        out, err = process.communicate(stdin, timeout=100)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def commands(tmp_path: Path, bundle: Path) -> Commands:
    return Commands(tmp_path / "build", bundle)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three photos, two of them similar, and three files that are not images."""
    folder = tmp_path / "images"
    (folder / DEEP).parent.mkdir(parents=True)
    # Gradients: an image of one colour has a vector that is useless for comparison.
    left = Image.radial_gradient("L").resize((64, 48)).convert("RGB")
    left.save(folder / "left.png")
    left.rotate(2).save(folder / DEEP)
    Image.linear_gradient("L").resize((48, 64)).convert("RGB").save(folder / "other.jpg")
    (folder / "notes.txt").write_text("no image")
    (folder / "empty.jpg").touch()
    (folder / "cut.png").write_bytes((folder / "left.png").read_bytes()[:200])
    return folder


def assert_one_line(done: "subprocess.CompletedProcess[str]", message: str) -> None:
    assert done.returncode == 1
    assert re.fullmatch(rf"dropvec: .*{message}.*\n", done.stderr), done.stderr


def test_the_demo_prints_an_outcome_for_every_file(commands: Commands, images: Path) -> None:
    done = commands.run("demo", "--images", images, "--model", commands.bundle)
    assert (done.returncode, done.stderr) == (0, "")
    lines = (commands.build / "demo" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    items = {item["source"].split("/", 3)[3]: item for item in map(json.loads, lines)}
    assert list(items) == sorted(["cut.png", DEEP, "empty.jpg", "left.png", "notes.txt", "other.jpg"])
    assert {name: item.get("error_code", item["status"]) for name, item in items.items()} == {
        "cut.png": "corrupt_image",
        DEEP: "success",
        "empty.jpg": "empty_object",
        "left.png": "success",
        "notes.txt": "unsupported_format",
        "other.jpg": "success",
    }
    left = items["left.png"]
    assert (left["width"], left["height"], left["embedding_dim"], left["normalized"]) == (64, 48, 48, True)
    assert len(left["embedding"]) == 48
    assert sum(x * x for x in left["embedding"]) == pytest.approx(1, abs=1e-5)
    assert "one difference: Function, Indexer and ApiFunction run from a zip file" in done.stdout
    assert "outcomes: 6 of 6, 6 uploaded" in done.stdout
    assert re.search(rf"left\.png +success +48 +\d+ +— +{re.escape(DEEP)} [01]\.\d\d", done.stdout)
    assert re.search(r"notes\.txt +unsupported_format +— +\d+ +— +—", done.stdout)
    assert "6 images, 3 success" in done.stdout
    assert "; 3 in the search index" in done.stdout
    assert "make up" in done.stdout
    assert sorted(path.name for path in (commands.build / "demo").iterdir()) == ["aws.log", "results.jsonl"]


def test_only_the_log_remains_after_an_interrupted_demo(commands: Commands, images: Path) -> None:
    process = commands.start("demo", "--images", images, "--model", commands.bundle)
    assert process.stdout is not None
    endpoint = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
    assert endpoint
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "dropvec: stopped\n")
    assert [path.name for path in (commands.build / "demo").iterdir()] == ["aws.log"]
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", int(endpoint[1])))


@pytest.mark.parametrize(
    ("name", "message"), [("missing", "No such file"), ("notes.txt", "Not a directory"), ("void", "no files in")]
)
def test_an_unusable_image_folder_is_an_error_before_anything_starts(
    commands: Commands, images: Path, name: str, message: str
) -> None:
    (images / "void").mkdir()
    done = commands.run("demo", "--images", images / name, "--model", commands.bundle)
    assert_one_line(done, message)
    assert done.stdout == ""
    assert not commands.build.exists()


@pytest.mark.parametrize(("model", "message"), [("no-such-model", "no-such-model"), (ROOT / "tests", r"model\.json")])
def test_an_unknown_model_is_an_error(commands: Commands, images: Path, model: str | Path, message: str) -> None:
    assert_one_line(commands.run("demo", "--images", images, "--model", model), message)


def test_without_a_package_index_the_samples_are_an_error(commands: Commands) -> None:
    commands.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    done = commands.run("demo", "--model", commands.bundle)
    assert_one_line(done, "could not download scikit-image.*from a Python package index")


class Up:
    """A running `python -m infra up`."""

    def __init__(self, commands: Commands) -> None:
        self.commands = commands
        self.process = commands.start("up", "--model", commands.bundle, stderr=subprocess.STDOUT)
        self.file = commands.build / "up" / "stack.json"
        assert eventually(self.file.exists, 60)
        self.stack: dict[str, str] = json.loads(self.file.read_text())

    def stop(self, signum: signal.Signals) -> str:
        self.process.send_signal(signum)
        return self.process.communicate(timeout=20)[0]


@pytest.fixture
def up(commands: Commands) -> Iterator[Up]:
    # `up` needs the samples only for the name of a photo to upload, so it also works without a package index.
    commands.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    running = Up(commands)
    yield running
    running.process.kill()
    running.process.communicate()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_up_runs_until_it_is_stopped(up: Up, signum: signal.Signals) -> None:
    out = up.stop(signum)
    assert up.process.returncode == 0
    assert f"The local AWS is running at {up.stack['endpoint']} until Ctrl-C" in out
    for name in ("uploads_bucket", "results_bucket", "table", "function", "vector_bucket", "indexer", "api"):
        assert up.stack[name] in out
    assert [path.name for path in (up.commands.build / "up").iterdir()] == ["aws.log"]
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", int(up.stack["endpoint"].rpartition(":")[2])))


def test_up_serves_the_http_api_and_prints_its_address_with_the_token(up: Up) -> None:
    api_url, token = up.stack["api_url"], up.stack["token"]
    assert httpx.get(f"{api_url}/health", trust_env=False).json()["status"] == "ok"
    assert httpx.get(f"{api_url}/items", trust_env=False).status_code == 401
    bearer = {"authorization": f"Bearer {token}"}
    assert httpx.get(f"{api_url}/items", headers=bearer, trust_env=False).json() == {"items": [], "next": None}
    assert f"{api_url}/#token={token}" in up.stop(signal.SIGINT)
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", int(api_url.rpartition(":")[2])))


@pytest.mark.parametrize("option", ["--port", "--api-port"])
def test_a_port_in_use_is_an_error_of_one_line(commands: Commands, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = commands.run("up", option, str(port), "--model", commands.bundle)
    assert_one_line(done, rf"127\.0\.0\.1:{port}.*in use.*{option}")


def test_a_second_up_is_an_error_and_the_first_keeps_running(up: Up) -> None:
    done = up.commands.run("up", "--model", up.commands.bundle)
    assert_one_line(done, f"is already running at {up.stack['endpoint']}")
    assert json.loads(up.file.read_text()) == up.stack


def test_example_events_name_the_local_buckets(up: Up) -> None:
    done = up.commands.run("invoke", ROOT / "events" / "direct-paths.json")
    files = json.loads(done.stdout)["task_output"]["files"]
    assert {file["error_code"] for file in files} == {"not_found"}
    assert all(file["file_path"].startswith(f"s3://{up.stack['uploads_bucket']}/") for file in files)


def test_invoke_uses_the_running_stack(up: Up, tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text('{"input_paths": ["s3://nowhere/x.jpg"]}')
    done = up.commands.run("invoke", tmp_path / "event.json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["task_output"]["files"][0]["status"]) == (0, "error")
    done = up.commands.run("invoke", "-", stdin='{"texts": 1}')
    assert (done.returncode, json.loads(done.stdout)["error_code"]) == (0, "invalid_request")
    (tmp_path / "bad.json").write_text("{")
    assert_one_line(up.commands.run("invoke", tmp_path / "bad.json"), r"bad\.json is not JSON")
    assert_one_line(up.commands.run("invoke", tmp_path / "none.json"), r"cannot read .*none\.json")
    up.stop(signal.SIGINT)
    assert_one_line(up.commands.run("invoke", tmp_path / "event.json"), "no local AWS is running.*make up")


def test_invoke_after_a_crash_of_up(up: Up, tmp_path: Path) -> None:
    up.stop(signal.SIGKILL)
    (tmp_path / "event.json").write_text("{}")
    assert_one_line(up.commands.run("invoke", tmp_path / "event.json"), "cannot invoke the function at")


@pytest.mark.parametrize("command", ["bake", "export", "demo", "up", "invoke", "deploy", "destroy"])
def test_every_command_has_help(commands: Commands, command: str) -> None:
    done = commands.run(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python -m infra {command}")


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["up", "--port", "x"], ["up", "--port", "70000"], ["invoke"]])
def test_wrong_usage(commands: Commands, arguments: list[str]) -> None:
    done = commands.run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m infra")
