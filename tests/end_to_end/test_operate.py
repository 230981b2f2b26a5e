"""The operator commands against a deployed stack, as a user runs them."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from infra.cli.main import main
from infra.common.local_session import ACCESS_KEY, REGION
from infra.common.local_stack import Stack
from infra.common.paths import ROOT
from infra.local.server import local_aws
from infra.local.stack import deploy
from tests.support.bundles import add_canonical_vector, write_tiny_bundle
from tests.support.pictures import encoded, picture
from tests.support.processes import eventually

KEYS = ("a folder/red shoe+1.png", "日本/Ünï.png", "plain.png")
BAD = "notes.txt"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with three images and a file that is not an image."""
    folder = tmp_path_factory.mktemp("operate")
    with local_aws(folder / "aws.log") as aws:
        made = deploy(aws, add_canonical_vector(write_tiny_bundle(folder / "tiny", name="mobileclip-s2")))
        for number, key in enumerate(KEYS):
            made.s3.put_object(Bucket=made.uploads_bucket, Key=key, Body=encoded(picture(seed=number)))
        made.s3.put_object(Bucket=made.uploads_bucket, Key=BAD, Body=b"no picture")
        assert eventually(lambda: len(_scan(made)) == len(KEYS) + 1, 30)
        yield made


def _scan(stack: Stack) -> list[Any]:
    return stack.dynamodb.scan(TableName=stack.table)["Items"]


class CommandRunner:
    """`python -m infra …` in this process, with the environment variables of the local AWS."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *arguments: str) -> str:
        code, out, err = self.done(*arguments)
        assert code == 0, err
        return out

    def done(self, *arguments: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = main(arguments)
        return code, *self._capsys.readouterr()


@pytest.fixture
def run(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandRunner:
    for name, value in {
        "AWS_ENDPOINT_URL": stack.endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "AWS_DEFAULT_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.chdir(tmp_path)
    return CommandRunner(tmp_path, capsys)


def test_status_counts_outcomes_models_and_messages(run: CommandRunner) -> None:
    out = run("status")
    assert re.search(r"items +4\n +3  success\n +1  unsupported_format\n", out), out
    assert re.search(r" 3  mobileclip-s2, fingerprint [0-9a-f]{8}\n", out)
    assert re.search(r"queue +0 waiting, 0 in flight\ndead letters  0\n", out)
    counted = json.loads(run("status", "--json"))["table"]["counted"]
    assert counted["outcomes"] == {"success": 3, "unsupported_format": 1}
    assert "updated every six hours" in run("status", "--quick")


def test_failures_are_listed_with_their_reasons(run: CommandRunner, stack: Stack) -> None:
    rows = list(csv.DictReader(io.StringIO(run("failures", "--format", "csv"))))
    assert [(row["source"], row["error_code"]) for row in rows] == [(stack.source(BAD), "unsupported_format")]
    assert rows[0]["error"]
    assert json.loads(run("failures", "--format", "json")) == rows[0]
    assert run("failures", "--code", "corrupt_image") == ""


def test_dead_letters_are_listed_and_moved_back(run: CommandRunner, stack: Stack) -> None:
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "s3": {"bucket": {"name": stack.uploads_bucket}, "object": {"key": "no+such+image.png"}},
    }
    for body in (json.dumps({"Records": [record]}), "no JSON {"):
        stack.sqs.send_message(QueueUrl=stack.dead_letter_queue_url, MessageBody=body)
    for _ in range(2):  # listing removes no messages
        found = run("failures", "--code", "dead_letter")
        assert f"dead_letter        {stack.source('no such image.png')}  every retry failed" in found
        assert "no JSON {" in found
        assert re.search("dead letters  2; list them with `failures`", run("status", "--quick"))
    assert "Moved 2 dead letters to the function's queue." in run("redrive", "--rate", "100")
    assert re.search("dead letters  0\n", run("status", "--quick"))
    assert "There are no dead letters." in run("redrive")
    stack.sqs.purge_queue(QueueUrl=stack.queue_url)  # the function refuses one of them again and again


@pytest.mark.parametrize("key", KEYS)
def test_get_prints_one_item(run: CommandRunner, stack: Stack, key: str) -> None:
    out = run("get", stack.source(key))
    assert out.startswith(stack.source(key) + "\n")
    assert re.search(r"status +success\n", out)
    assert re.search(r"image +64 x 48 pixels\n", out)
    assert re.search(r"vector +\[-?0\.\d{4}(, -?0\.\d{4}){3}, …\] 48 x float32, length 1\.0000\n", out)
    item = json.loads(run("get", stack.source(key), "--json"))
    assert (item["source"], len(item["embedding"])) == (stack.source(key), 48)


def test_export_writes_the_vectors_of_the_function_s_model(run: CommandRunner, stack: Stack) -> None:
    for name in ("v.parquet", "v.npz"):
        assert f"{name}: 3 vectors of dimension 48" in run("export", "--out", name)
    table = pyarrow.parquet.read_table(run.folder / "v.parquet")
    sources = table["source"].to_pylist()
    assert sorted(sources) == sorted(stack.source(key) for key in KEYS)
    with np.load(run.folder / "v.npz") as arrays:
        assert {name.decode() for name in arrays["sources"]} == set(sources)
        assert arrays["vectors"].shape == (3, 48)
        assert arrays["fingerprint"] == table["fingerprint"][0].as_py()


def test_a_dry_run_estimates_and_sends_nothing(run: CommandRunner, stack: Stack) -> None:
    out = run("backfill", f"s3://{stack.uploads_bucket}", "--dry-run", "--everything")
    assert "4 objects: 4 to send" in out
    estimate = r"kB to read, [\d.]+ kB per image\.\nAbout \$0\.00 with 1769 MB of memory, at prices in us-east-1"
    assert re.search(estimate, out)
    out = run("backfill", f"s3://{stack.uploads_bucket}/", "--dry-run")
    assert "0 to send, 3 already embedded, 1 already rejected" in out
    assert "0 waiting" in run("status", "--quick")


def test_a_manifest_lists_every_selected_object(run: CommandRunner, stack: Stack) -> None:
    out = run("backfill", f"s3://{stack.uploads_bucket}", "--manifest", "all.csv", "--everything")
    lines = (run.folder / "all.csv").read_text(encoding="ascii").splitlines()
    assert f"{stack.uploads_bucket},a%20folder/red%20shoe%2B1.png" in lines
    assert len(lines) == 4
    assert f'"FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:{stack.function}"' in out


def test_local_uses_the_file_of_the_running_up(stack: Stack, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "infra", "status", "--local", "--json"]
    environment = os.environ | {"DROPVEC_BUILD": str(tmp_path)}
    none = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
    assert (none.returncode, none.stderr) == (
        1,
        "dropvec: no local AWS is running; start one in another terminal with `make up`\n",
    )
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "stack.json").write_text(stack.to_json(), encoding="utf-8")
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=True)
    assert json.loads(done.stdout)["table"]["counted"]["outcomes"]["success"] == 3


def test_options_for_all_resources_need_no_stack(run: CommandRunner, stack: Stack) -> None:
    options = ("--stack", "nowhere", "--table", stack.table, "--queue", stack.queue_url, "--function", stack.function)
    out = run("backfill", f"s3://{stack.uploads_bucket}/", "--dry-run", *options)
    assert "4 objects: 0 to send" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("status", "--stack", "nowhere"), "there is no stack nowhere in us-east-1"),
        (("get", "s3://bucket/nothing.png"), "has no item for s3://bucket/nothing.png"),
        (("get", "bucket/nothing.png"), "bucket/nothing.png is not of the form s3://bucket/key"),
        (("backfill", "bucket/prefix"), "'bucket/prefix' is not of the form s3://bucket/prefix"),
        (("backfill", "s3://no-such-bucket-here/", "--dry-run"), "NoSuchBucket"),
        (("export", "--out", "vectors.csv"), r"vectors.csv must end in .parquet or .npz"),
        (("export", "--out", "missing/v.npz"), "cannot write missing/v.npz: No such file"),
        (("export", "--out", "v.npz", "--fingerprint", "ffff"), "no vectors with the fingerprint ffff"),
        (("status", "--table", "no-such-table"), "no-such-table|ResourceNotFound"),
        (("cost", "--model", "gpt"), "no measurements of the model gpt"),
    ],
)
def test_an_error_is_one_line(run: CommandRunner, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = run.done(*arguments)
    assert code == 1
    last = err.splitlines()[-1]
    assert re.match("dropvec: ", last)
    assert re.search(message, last)
    assert "Traceback" not in err
    assert not list(run.folder.iterdir())
