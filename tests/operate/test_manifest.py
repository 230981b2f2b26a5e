"""The manifest for S3 Batch Operations."""

import json
import shlex
from pathlib import Path
from urllib.parse import unquote, unquote_plus

import pytest

from infra.common.errors import OperatorError
from infra.common.files import atomic_write
from infra.operate.account import Account
from infra.operate.backfill.choice import Judged, Verdict
from infra.operate.backfill.estimate import estimate
from infra.operate.backfill.manifest import NOTHING, commands, write_manifest
from infra.operate.backfill.objects import Found, Slice
from infra.operate.backfill.state import State

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:dropvec"


def test_the_commands_can_be_pasted() -> None:
    said = commands(ARN, Path("all of it.csv"))
    words = shlex.split(said[said.index("aws s3control") :].replace("\\\n", ""))
    words.remove("--no-confirmation-required")
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert options["--account-id"] == "123456789012"
    assert json.loads(options["--operation"]) == {
        "LambdaInvoke": {"FunctionArn": ARN, "InvocationSchemaVersion": "2.0"}
    }
    assert json.loads(options["--report"])["ReportScope"] == "FailedTasksOnly"
    spec, _, location = options["--manifest"].partition(",Location=")
    assert spec == "Spec={Format=S3BatchOperations_CSV_20180820,Fields=[Bucket,Key]}"
    assert location == "{ObjectArn=arn:aws:s3:::MANIFEST_BUCKET/all-of-it.csv,ETag=$etag}"


@pytest.mark.parametrize("key", ["a b+c.png", '100%25,"q".png', "日本/\n.png"])
def test_a_key_in_a_manifest_is_read_the_same_by_both_ways_to_decode(key: str) -> None:
    from infra.operate.backfill.manifest import row

    line = row("bucket", key)
    name, _, encoded = line.decode("ascii").rstrip("\n").partition(",")
    assert name == "bucket"
    assert "," not in encoded
    assert unquote(encoded) == unquote_plus(encoded) == key


def test_only_what_is_to_be_embedded_is_sent() -> None:
    found = (Found("a", 1, "e"), Found("b", 1, "e"))
    assert Judged(Slice(found, "b"), (Verdict.DONE, Verdict.SENT)).sent() == [found[1]]


def test_where_nothing_is_to_be_embedded_there_is_no_manifest(account: Account, tmp_path: Path) -> None:
    done = Judged(Slice((Found("a", 1, "e"),), "a"), (Verdict.DONE,))
    assert write_manifest(account, tmp_path / "all.csv", "bucket", [done]) == NOTHING
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(OperatorError, match=r"cannot write .*folder: Is a directory"),
        atomic_write(tmp_path / "folder"),
    ):
        pass
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "half.csv"):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_model_that_was_not_measured_has_no_price(account: Account) -> None:
    state = State(sent_bytes=3_000_000)
    assert list(estimate(account, state, "m")) == ["Nothing to embed: $0.00."]
    state.counts[Verdict.SENT] = 3
    size, cost = estimate(account, state, "m")
    assert size == "3.0 MB to read, 1.0 MB an image."
    assert cost.startswith("No cost is told: nothing was measured of the model m")
