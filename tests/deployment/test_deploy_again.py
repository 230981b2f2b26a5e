"""Deployments that continue where something was left: over kept resources, and after Ctrl-C, on the local AWS."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.common.local_session import REGION
from infra.common.local_stack import Stack
from infra.common.template import to_json
from infra.deploy import changes, notifications
from infra.local.server import LocalAws, local_aws
from tests.deployment.test_deploy import IMAGE, DeployCommands
from tests.end_to_end.test_search import embed, has_etag, leaves, own_index, search
from tests.end_to_end.test_uploads import item, put
from tests.support.bundles import add_canonical_vector, write_tiny_bundle
from tests.support.interruptions import interrupted_at
from tests.support.local_registry import push, template_of_images
from tests.support.pictures import encoded, picture
from tests.support.processes import eventually

KEPT = {"UploadsBucket", "UploadsBucketPolicy", "ResultsBucket", "ResultsBucketPolicy", "Table", "VectorBucket"}
KEY = f"arn:aws:kms:{REGION}:000000000000:key/0a1b"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("again") / "aws.log") as running:
        yield running


@pytest.fixture(scope="module")
def commands(aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> DeployCommands:
    folder = tmp_path_factory.mktemp("image")
    assert push(aws.endpoint, add_canonical_vector(write_tiny_bundle(folder / "tiny")), "1") == IMAGE
    path = folder / "template.yaml"
    path.write_text(to_json(template_of_images()))
    return DeployCommands(aws, path)


def deploy(commands: DeployCommands, name: str, *arguments: str) -> str:
    """Deploy a stack without questions, and return what the command prints."""
    done = commands.run("deploy", "--stack", name, "--yes", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def interrupted(commands: DeployCommands, number: int, *arguments: str) -> list[str]:
    """Run a command with Ctrl-C at the nth call that changes something, wait until CloudFormation is done.

    Returns:
        The calls that changed something; fewer than n if the command ended before.
    """
    with interrupted_at(number, only_changes=True) as interruption:
        done = commands.run(*arguments, "--yes")
    stopped = len(interruption.calls) == number
    if interruption.calls[-1:] == ["ExecuteChangeSet"]:
        assert f"stopped while CloudFormation is changing the stack {arguments[2]}: run the same" in done.stderr
    assert (done.returncode, done.stderr.startswith("dropvec: stopped")) == ((130, True) if stopped else (0, False))
    assert eventually(lambda: not commands.is_changing(arguments[2]), 30)
    return interruption.calls


def destroy(commands: DeployCommands, name: str) -> None:
    done = commands.run("destroy", "--stack", name, "--yes")
    assert (done.returncode, done.stderr) == (0, "")


def deployed(commands: DeployCommands, name: str) -> Stack:
    """A deployed stack."""
    (described,) = commands.cloudformation.describe_stacks(StackName=name)["Stacks"]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in described["Outputs"]}
    return Stack.of(commands.s3.meta.endpoint_url, outputs)


def upload(stack: Stack, key: str, seed: int) -> str:
    return put(stack, key, encoded(picture(90, 70, seed=seed)))


def test_search_backfill_and_deletion_go_on(
    commands: DeployCommands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.operate.backfill.state.FOLDER", tmp_path)
    deploy(commands, "kept", "--image", IMAGE, "--set", "KeySuffix=.png")
    before = commands.resources("kept")
    stack = deployed(commands, "kept")
    for number in range(3):
        embed(stack, f"{number}.png", number)
    index = own_index(stack, "0.png")
    destroy(commands, "kept")
    missed = upload(stack, "missed.png", 9)

    printed = deploy(commands, "kept")
    assert all(f"  {name:<24} " in printed for name in KEPT)
    assert "`python3 -m infra backfill --stack kept s3://kept-uploads-000000000000-us-east-1/`" in printed
    assert "index rebuild" not in printed
    after = commands.resources("kept")
    assert {name: after[name] for name in KEPT} == {name: before[name] for name in KEPT}
    assert after.keys() == before.keys()
    assert commands.parameters("kept")["KeySuffix"] == ".png"
    stack = deployed(commands, "kept")

    hits = search(stack, query={"source": stack.source("0.png")})["hits"]
    assert {hit["source"] for hit in hits} == {stack.source("1.png"), stack.source("2.png")}
    done = commands.run("backfill", "--stack", "kept", f"s3://{stack.uploads_bucket}/")
    assert done.returncode == 0
    assert "4 of 4, 1 to embed" in done.stderr
    assert eventually(lambda: has_etag(stack, "missed.png", missed), 60)
    embed(stack, "new.png", 10)
    stack.s3.delete_object(Bucket=stack.uploads_bucket, Key="0.png")
    assert leaves(stack, index, "0.png")
    assert item(stack, "0.png")["status"] == "deleted"


def test_another_key_means_another_index_and_the_question_says_so(commands: DeployCommands) -> None:
    done = commands.run("deploy", "--stack", "kept", "--set", f"KmsKeyArn={KEY}", stdin="n\n")
    assert (done.returncode, done.stderr) == (0, "")
    advice = "After this change, run `python3 -m infra index rebuild --stack kept`."
    assert f"the stack would get a new, empty search index. {advice}\nApply these changes?" in done.stdout
    assert done.stdout.endswith("Nothing was changed.\n")


def test_only_a_new_stack_imports(commands: DeployCommands) -> None:
    done = commands.run("deploy", "--stack", "kept", "--import", "Table=other")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the stack kept exists: --import is for a stack that is created" in done.stderr
    done = commands.run("deploy", "--stack", "kept", "--import", "Queue=other")
    assert done.returncode == 2
    assert "'Queue' is neither Table nor VectorBucket" in done.stderr


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudFormation is asked for its progress more often."""
    monkeypatch.setattr(changes, "_CHANGE_SET_POLL_SECONDS", 0.02)
    monkeypatch.setattr(changes, "_EVENT_POLL_SECONDS", 0.05)


@pytest.mark.usefixtures("prompt")
def test_a_proposal_can_be_interrupted_at_every_call(commands: DeployCommands) -> None:
    for number in range(1, 50):
        with interrupted_at(number) as interruption:
            done = commands.run("deploy", "--stack", "early", "--image", IMAGE, stdin="n\n")
        if len(interruption.calls) < number:
            break
        assert done.returncode == 130
        # The answer with the name of the change set is lost, or the clean-up itself was interrupted, which signals
        # cannot do.
        if interruption.calls[-1] not in {"CreateChangeSet", "DeleteChangeSet", "DescribeStacks"}:
            assert "early" not in commands.stacks(), interruption.calls
    assert {"CreateChangeSet", "DescribeChangeSet", "DeleteStack"} <= set(interruption.calls)
    assert (done.returncode, "early" in commands.stacks()) == (0, False)


@pytest.mark.usefixtures("prompt")
def test_a_first_deployment_can_be_interrupted_at_every_change(commands: DeployCommands) -> None:
    arguments = ("deploy", "--stack", "first", "--image", IMAGE, "--set", "Search=false")
    for number in range(1, 20):
        calls = interrupted(commands, number, *arguments)
        if len(calls) < number:
            break
    assert "up to date" in deploy(commands, *arguments[2:])
    commands.check_released("first")


@pytest.mark.usefixtures("prompt")
def test_a_change_of_the_bucket_can_be_interrupted_at_every_change(commands: DeployCommands) -> None:
    buckets = ["stop-a", "stop-b"]
    for bucket in buckets:
        commands.s3.create_bucket(Bucket=bucket)
    base = ("deploy", "--stack", "stopped", "--image", IMAGE, "--set", "Search=false")
    deploy(commands, *base[2:], "ExistingBucket=stop-a")
    seen: set[str] = set()
    for number in range(1, 20):
        target = buckets[number % 2]
        arguments = (*base, f"ExistingBucket={target}", f"MemorySize={1024 + number}")
        calls = interrupted(commands, number, *arguments)
        seen.update(calls)
        deploy(commands, *arguments[2:])
        connected = {one: [each["Id"] for each in entries(commands, one)] for one in buckets}
        assert connected == {one: ["dropvec-stopped"] if one == target else [] for one in buckets}, calls
        commands.check_released("stopped", MemorySize=1024 + number)
        if len(calls) < number:
            break
    assert {"CreateChangeSet", "ExecuteChangeSet", "PutBucketNotificationConfiguration", "UpdateAlias"} <= seen


def entries(commands: DeployCommands, bucket: str) -> Any:
    return notifications.read(commands.s3, bucket).get("QueueConfigurations", [])


@pytest.mark.usefixtures("prompt")
def test_an_import_can_be_interrupted_at_every_change(commands: DeployCommands) -> None:
    arguments = ("deploy", "--stack", "stopped", "--set", "ExistingBucket=")
    table = commands.resources("stopped")["Table"]
    destroy(commands, "stopped")
    for number in range(1, 20):
        calls = interrupted(commands, number, *arguments)
        if len(calls) < number:
            break
    commands.check_released("stopped")
    assert commands.resources("stopped")["Table"] == table
