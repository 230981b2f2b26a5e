"""The entry point in processes of its own: cold start, and what it needs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from tests.support.pictures import encoded, picture
from tests.unit.conftest import UPLOADS, World

IMPORT = "import handler.app"


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    region = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    return subprocess.run(
        [sys.executable, "-c", code], env=plain | region | environment, capture_output=True, text=True, check=False
    )


def settings(bundle: Path) -> dict[str, str]:
    return {"MODEL_DIR": str(bundle), "RESULTS_BUCKET": "results", "TABLE_NAME": "vectors"}


def one_line(finished: subprocess.CompletedProcess[str]) -> str:
    assert finished.returncode != 0
    (line,) = finished.stderr.splitlines()
    return line


@pytest.mark.parametrize("name", ["RESULTS_BUCKET", "TABLE_NAME"])
def test_missing_setting_is_one_line(tiny_bundle: Path, name: str) -> None:
    environment = settings(tiny_bundle)
    del environment[name]
    assert f"{name} is not set; set it to" in one_line(run(IMPORT, **environment))


def test_absent_bundle_is_one_line(tmp_path: Path) -> None:
    assert "set MODEL_DIR to" in one_line(run(IMPORT, **settings(tmp_path / "nothing")))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL_S3", "localhost:4566"),
        ("AWS_CA_BUNDLE", "/nowhere.pem"),
        ("HTTPS_PROXY", "socks5://proxy.example"),
        ("AWS_DEFAULT_REGION", "no region"),
    ],
)
def test_wrong_setting_of_the_sdks_is_one_line(tiny_bundle: Path, name: str, value: str) -> None:
    line = one_line(run(IMPORT, **settings(tiny_bundle), **{name: value}))
    assert "set it to" in line
    assert name.removeprefix("AWS_DEFAULT_") in line


def test_missing_region_is_one_line(tiny_bundle: Path) -> None:
    assert "AWS_REGION" in one_line(run(IMPORT, **settings(tiny_bundle), AWS_DEFAULT_REGION=""))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.json", b"{"),
        ("model.json", b"[]"),
        ("model.json", b"{}"),
        ("image.onnx", b"not a graph"),
        ("image.onnx", None),
    ],
)
def test_damaged_bundle_is_one_line(tiny_bundle: Path, tmp_path: Path, file: str, content: bytes | None) -> None:
    bundle = copytree(tiny_bundle, tmp_path / "bundle")
    (bundle / file).unlink()
    if content is not None:
        (bundle / file).write_bytes(content)
    assert "bake" in one_line(run(IMPORT, **settings(bundle)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", 99),
        ("embedding_dim", 47),
        ("input_size", 64),
        ("input_name", "x"),
        ("output_name", "y"),
        ("mean", [1]),
    ],
)
def test_bundle_that_does_not_fit_its_description(tiny_bundle: Path, tmp_path: Path, field: str, value: object) -> None:
    bundle = copytree(tiny_bundle, tmp_path / "bundle")
    spec = json.loads((bundle / "model.json").read_bytes())
    (bundle / "model.json").write_text(json.dumps(spec | {field: value}))
    assert "BundleError" in one_line(run(IMPORT, **settings(bundle)))


PACKAGES = ["PIL", "handler", "numpy", "onnxruntime", "orjson"]
# Parts of Python's own library that cost milliseconds, and that an upload does not need.
SPARED = ["asyncio", "concurrent", "multiprocessing", "sqlite3", "unittest", "urllib.request", "xml"]
MODULES = f"""
import sys
packages = {{name.partition('.')[0] for name in sys.modules if not name.startswith('_')}}
packages -= sys.stdlib_module_names | {{'sitecustomize'}}  # which Debian's Python has
print(sorted(packages), [name for name in {SPARED} if name in sys.modules])
"""


def test_cold_start_imports_these_packages_and_no_other(tiny_bundle: Path) -> None:
    finished = run(IMPORT + MODULES, **settings(tiny_bundle))
    assert (finished.stdout.splitlines()[-1], finished.stderr) == (f"{PACKAGES} []", "")


def test_an_upload_imports_no_other_either(world: World, tiny_bundle: Path) -> None:
    world.put("a b.png", encoded(picture()))
    body = {"bucket": {"name": UPLOADS}, "object": {"key": "a+b.png", "sequencer": "01"}}
    event = {"Records": [{"eventVersion": "2.6", "eventSource": "aws:s3", "s3": body}]}
    code = f"{IMPORT}; handler.app.handler({event})"
    finished = run(code + MODULES, **settings(tiny_bundle), AWS_ENDPOINT_URL=world.state.server.endpoint)
    assert (finished.stdout.splitlines()[-1], finished.stderr) == (f"{PACKAGES} []", "")
    assert world.item("a b.png")["status"] == "success"


def test_unknown_event_is_raised_with_what_was_received_and_what_is_expected(tiny_bundle: Path) -> None:
    code = f"{IMPORT}; handler.app.handler({{'Records': [{{'eventSource': 'aws:kinesis'}}]}})"
    finished = run(code, **settings(tiny_bundle))
    assert finished.returncode != 0
    assert "unsupported event: a record of aws:kinesis; expected S3" in finished.stderr.splitlines()[-1]
