"""The manifest for S3 Batch Operations."""

import json
import shlex
from pathlib import Path
from urllib.parse import unquote, unquote_plus

import pytest

from infra.common.errors import OperatorError
from infra.common.files import atomic_write
from infra.operate.backfill.estimate import estimate
from infra.operate.backfill.manifest import NOTHING, commands, write_manifest
from infra.operate.backfill.objects import ListedObject, Slice
from infra.operate.backfill.selection import DecidedSlice, Decision
from infra.operate.backfill.state import BackfillState
from infra.operate.stack import DeployedStack

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:dropvec"


def test_the_commands_can_be_pasted_into_a_shell() -> None:
    text = commands(ARN, Path("all of it.csv"))
    words = shlex.split(text[text.index("aws s3control") :].replace("\\\n", ""))
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
def test_both_ways_of_decoding_a_key_in_a_manifest_agree(key: str) -> None:
    from infra.operate.backfill.manifest import row

    line = row("bucket", key)
    name, _, encoded = line.decode("ascii").rstrip("\n").partition(",")
    assert name == "bucket"
    assert "," not in encoded
    assert unquote(encoded) == unquote_plus(encoded) == key


def test_only_selected_objects_are_sent() -> None:
    listed = (ListedObject("a", 1, "e"), ListedObject("b", 1, "e"))
    assert DecidedSlice(Slice(listed, "b"), (Decision.DONE, Decision.SENT)).sent() == [listed[1]]


def test_without_objects_to_embed_no_manifest_is_written(stack: DeployedStack, tmp_path: Path) -> None:
    done = DecidedSlice(Slice((ListedObject("a", 1, "e"),), "a"), (Decision.DONE,))
    assert write_manifest(stack, tmp_path / "all.csv", "bucket", [done]) == NOTHING
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(OperatorError, match=r"cannot write .*folder: Is a directory"),
        atomic_write(tmp_path / "folder"),
    ):
        pass
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "half.csv"):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_the_cost_of_a_model_without_measurements_is_unknown(stack: DeployedStack) -> None:
    state = BackfillState(sent_bytes=3_000_000)
    assert list(estimate(stack, state, "m")) == ["Nothing to embed: $0.00."]
    state.counts[Decision.SENT] = 3
    size, cost = estimate(stack, state, "m")
    assert size == "3.0 MB to read, 1.0 MB per image."
    assert cost == "Cost unknown: infra/operate/measured.toml has no measurements of the model m."
