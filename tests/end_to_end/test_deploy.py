"""`python -m infra deploy` and `destroy`, as a user runs them, against the local AWS."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from infra.cli.main import main
from infra.common.local_session import ACCESS_KEY, CONFIG, REGION, session
from infra.common.paths import ROOT, TEMPLATE
from infra.deploy import notifications
from infra.local.server import LocalAws, local_aws

IMAGE = f"000000000000.dkr.ecr.{REGION}.amazonaws.com/dropvec@sha256:{'0' * 64}"


class Operator:
    def __init__(self, aws: LocalAws) -> None:
        self.environment = os.environ | {
            "AWS_ENDPOINT_URL": aws.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        self.s3: Any = session().client("s3", endpoint_url=aws.endpoint, config=CONFIG)
        self.sqs: Any = session().client("sqs", endpoint_url=aws.endpoint, config=CONFIG)
        self.cloudformation: Any = session().client("cloudformation", endpoint_url=aws.endpoint, config=CONFIG)

    def run(self, *arguments: str, said: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "infra", *arguments],
            cwd=ROOT,
            env=self.environment,
            input=said,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def come_here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """This process calls the local AWS, too."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    def stacks(self) -> list[str]:
        return [one["StackName"] for one in self.cloudformation.describe_stacks()["Stacks"]]

    def resources(self, stack: str) -> dict[str, str]:
        listed = self.cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}

    def queue(self, url: str) -> str:
        """The ARN of a queue."""
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn: str = answer["Attributes"]["QueueArn"]
        return arn

    def give_away(self, bucket: str) -> None:
        """From now on the bucket is another account's."""
        others: Any = session().client(
            "s3",
            endpoint_url=self.s3.meta.endpoint_url,
            config=CONFIG,
            aws_access_key_id="111111111111",  # the local AWS takes twelve digits for the account
            aws_secret_access_key=ACCESS_KEY,
        )
        self.s3.delete_bucket(Bucket=bucket)
        others.create_bucket(Bucket=bucket)

    def add_queue(self, bucket: str, name: str) -> dict[str, Any]:
        """Have a bucket tell a queue of somebody else's, too."""
        arn = self.queue(self.sqs.create_queue(QueueName=name)["QueueUrl"])
        theirs = {"Id": name, "QueueArn": arn, "Events": ["s3:ObjectRestore:Post"]}
        there = notifications.read(self.s3, bucket)
        queues = [*there.get("QueueConfigurations", []), theirs]
        notifications.write(self.s3, bucket, {**there, "QueueConfigurations": queues})
        return theirs


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """One for these stacks alone: this emulator's poller stumbles over what they leave (`infra.local.stack`)."""
    with local_aws(tmp_path_factory.mktemp("deploy") / "aws.log") as running:
        yield running


@pytest.fixture
def operator(aws: LocalAws) -> Operator:
    return Operator(aws)


def test_the_template_fits_into_one_request() -> None:
    assert len(TEMPLATE.read_bytes()) <= 51_200


def test_a_stack_is_made_changed_and_taken_away_after_a_yes(operator: Operator) -> None:
    done = operator.run("deploy", "--stack", "one", "--image", IMAGE, said="n\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Add     UploadsQueue " in done.stdout
    assert done.stdout.endswith("Do that? [y/N] Nothing was changed.\n")
    assert "one" not in operator.stacks()

    done = operator.run("deploy", "--stack", "one", "--image", IMAGE, said="y\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Embed a photo.\n  aws s3 cp photo.jpg s3://one-uploads-000000000000-us-east-1/\n" in done.stdout

    assert "is as it should be." in operator.run("deploy", "--stack", "one").stdout

    done = operator.run("deploy", "--stack", "one", "--set", "Trigger=direct", "MemorySize=3008", said="y\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Modify  Function " in done.stdout
    told = operator.s3.get_bucket_notification_configuration(Bucket="one-uploads-000000000000-us-east-1")
    assert len(told["LambdaFunctionConfigurations"]) == 4
    assert "QueueConfigurations" not in told
    catch_up = "`python3 -m infra backfill --stack one s3://one-uploads-000000000000-us-east-1/`"
    assert catch_up in done.stdout
    assert catch_up not in operator.run("deploy", "--stack", "one").stdout
    assert "cannot exceed it" in operator.run("deploy", "--stack", "one", "--set", "BackfillConcurrency=11").stderr

    assert operator.run("destroy", "--stack", "one").stdout.endswith("Delete the stack? [y/N] \nNothing was changed.\n")
    table = operator.resources("one")["Table"]
    done = operator.run("destroy", "--stack", "one", said="y\n")
    assert (done.returncode, done.stderr) == (0, "")
    for kept in ("one-uploads-000000000000-us-east-1", "one-results-000000000000-us-east-1", table):
        assert f" {kept}\n" in done.stdout
    assert "one" not in operator.stacks()
    operator.s3.head_bucket(Bucket="one-uploads-000000000000-us-east-1")

    done = operator.run("deploy", "--stack", "one", "--image", IMAGE, "--yes")
    assert done.returncode == 1
    assert "one-uploads-000000000000-us-east-1 is there already" in done.stderr


def test_an_existing_bucket_goes_on_telling_others(operator: Operator) -> None:
    operator.s3.create_bucket(Bucket="of-others")
    operator.add_queue("of-others", "theirs")
    before = notifications.read(operator.s3, "of-others")

    settings = ("--set", "ExistingBucket=of-others", "KeySuffix=.jpg")
    done = operator.run("deploy", "--stack", "two", "--image", IMAGE, *settings, said="y\nn\n")
    assert "Not changed: the bucket tells what it told before." in done.stdout
    assert notifications.read(operator.s3, "of-others") == before
    assert "UploadsBucket" not in operator.resources("two")

    done = operator.run("deploy", "--stack", "two", said="y\n")
    assert (done.returncode, done.stderr) == (0, "")
    told = notifications.read(operator.s3, "of-others")["QueueConfigurations"]
    assert sorted(one["Id"] for one in told) == ["dropvec-two", "theirs"]
    assert "The notifications" not in operator.run("deploy", "--stack", "two").stdout

    assert operator.run("destroy", "--stack", "two", "--yes").returncode == 0
    assert notifications.read(operator.s3, "of-others") == before


def test_what_an_owner_added_by_hand_goes_only_after_a_yes(operator: Operator) -> None:
    operator.s3.create_bucket(Bucket="by-hand")
    deploy = ("deploy", "--stack", "nine", "--image", IMAGE)
    assert operator.run(*deploy, "--set", "ExistingBucket=by-hand", said="y\nn\n").returncode == 0
    queue = operator.queue(operator.resources("nine")["UploadsQueue"])

    def entry(suffix: str) -> dict[str, Any]:
        rules = [{"Name": "suffix", "Value": suffix}]
        filters = {"Key": {"FilterRules": rules}}
        return {"Id": suffix, "QueueArn": queue, "Events": ["s3:ObjectCreated:*"], "Filter": filters}

    notifications.write(operator.s3, "by-hand", {"QueueConfigurations": [entry(".jpg"), entry(".png")]})
    before = notifications.read(operator.s3, "by-hand")
    done = operator.run(*deploy, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"  - s3:ObjectCreated:* of *.jpg -> {queue}\n" in done.stdout
    assert f"  + s3:ObjectCreated:* of * -> {queue}\n" in done.stdout
    assert "Not changed, for `make deploy` did not add all of what would go" in done.stdout
    assert notifications.read(operator.s3, "by-hand") == before

    assert operator.run(*deploy, said="y\n").returncode == 0
    assert [one["Id"] for one in notifications.read(operator.s3, "by-hand")["QueueConfigurations"]] == ["dropvec-nine"]


def test_an_existing_bucket_tells_otherwise_before_the_rule_of_eventbridge_goes(operator: Operator) -> None:
    operator.s3.create_bucket(Bucket="of-eventbridge")
    deploy = ("deploy", "--stack", "ten", "--image", IMAGE, "--set")
    done = operator.run(*deploy, "ExistingBucket=of-eventbridge", "Trigger=eventbridge", "KeyPrefix=in/", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "backfill" not in done.stdout
    before = notifications.read(operator.s3, "of-eventbridge")
    assert before == {"EventBridgeConfiguration": {}}

    done = operator.run(*deploy, "Trigger=queue", said="y\nn\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("Nothing was changed.\n")
    assert "UploadsRule" in operator.resources("ten")
    assert notifications.read(operator.s3, "of-eventbridge") == before

    done = operator.run(*deploy, "Trigger=queue", said="y\ny\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.index("Changed.") < done.stdout.index("UPDATE_COMPLETE ")
    assert done.stdout.count("The notifications of the bucket") == 1
    assert "`python3 -m infra backfill --stack ten s3://of-eventbridge/in/`" in done.stdout
    told = notifications.read(operator.s3, "of-eventbridge")
    assert [one["Id"] for one in told["QueueConfigurations"]] == ["dropvec-ten"]


def test_the_rule_of_eventbridge_stays_while_nobody_can_be_asked(operator: Operator) -> None:
    operator.s3.create_bucket(Bucket="of-both")
    deploy = ("deploy", "--stack", "eleven", "--image", IMAGE, "--yes", "--set")
    assert operator.run(*deploy, "ExistingBucket=of-both", "Trigger=eventbridge").returncode == 0
    queue = operator.queue(operator.resources("eleven")["UploadsQueue"])
    jpegs = {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".jpg"}]}}
    by_hand = {"Id": "by hand", "QueueArn": queue, "Events": ["s3:ObjectCreated:*"], "Filter": jpegs}
    notifications.write(operator.s3, "of-both", {"EventBridgeConfiguration": {}, "QueueConfigurations": [by_hand]})
    before = notifications.read(operator.s3, "of-both")

    done = operator.run(*deploy, "Trigger=queue")
    assert done.returncode == 1
    assert "nothing was changed: until the bucket tells the stack otherwise" in done.stderr
    assert "UploadsRule" in operator.resources("eleven")
    assert notifications.read(operator.s3, "of-both") == before


def test_who_may_not_touch_the_bucket_may_go_on_when_its_owner_has_seen_to_it(operator: Operator) -> None:
    operator.s3.create_bucket(Bucket="not-mine")
    deploy = ("deploy", "--stack", "twelve", "--image", IMAGE, "--set")
    assert operator.run(*deploy, "ExistingBucket=not-mine", "Trigger=eventbridge", "--yes").returncode == 0
    queue = operator.queue(operator.resources("twelve")["UploadsQueue"])
    operator.give_away("not-mine")
    done = operator.run(*deploy, "Trigger=queue", said="y\nn\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"The bucket not-mine has to tell {queue}, which is left to its owner: " in done.stdout
    assert done.stdout.endswith("Nothing was changed.\n")
    sets = operator.cloudformation.list_change_sets(StackName="twelve")["Summaries"]
    assert "AVAILABLE" not in [one["ExecutionStatus"] for one in sets]
    done = operator.run(*deploy, "Trigger=queue", said="y\ny\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "`python3 -m infra backfill --stack twelve s3://not-mine/`" in done.stdout


def test_what_somebody_else_sets_meanwhile_is_not_erased(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    operator.s3.create_bucket(Bucket="busy")
    deploy = ("deploy", "--stack", "thirteen", "--image", IMAGE)
    assert operator.run(*deploy, "--set", "ExistingBucket=busy", said="y\nn\n").returncode == 0

    def add_and_agree(_: str) -> str:
        operator.add_queue("busy", "sudden")
        return "y"

    operator.come_here(monkeypatch)
    monkeypatch.setattr("builtins.input", add_and_agree)
    assert main([*deploy]) == 0
    assert "somebody else has changed them meanwhile" in capsys.readouterr().out
    assert [one["Id"] for one in notifications.read(operator.s3, "busy")["QueueConfigurations"]] == ["sudden"]


def test_a_bucket_that_is_left_for_another_one_no_longer_tells(operator: Operator) -> None:
    first, second, own = "left-first", "left-second", "five-uploads-000000000000-us-east-1"
    theirs: dict[str, Any] = {}
    for bucket in (first, second):
        operator.s3.create_bucket(Bucket=bucket)
        operator.add_queue(bucket, f"theirs-{bucket}")
        theirs[bucket] = notifications.read(operator.s3, bucket)

    def deployed(said: str, *settings: str) -> str:
        done = operator.run("deploy", "--stack", "five", "--image", IMAGE, "--set", *settings, said=said)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def telling() -> list[str]:
        return [bucket for bucket, others in theirs.items() if notifications.read(operator.s3, bucket) != others]

    deployed("y\ny\n", f"ExistingBucket={first}")
    assert telling() == [first]
    assert f"The bucket {first} would no longer tell it" in deployed("n\n", f"ExistingBucket={second}")
    assert telling() == [first]
    deployed("y\ny\n", f"ExistingBucket={second}")
    assert telling() == [second]
    deployed("y\n", "ExistingBucket=")
    assert telling() == []

    theirs[own] = {}
    assert "would no longer" not in deployed("y\n", "ExistingBucket=", "Trigger=direct")
    assert telling() == [own]
    deployed("y\ny\n", f"ExistingBucket={first}")
    assert telling() == [first]


def test_the_bucket_that_a_stack_made_and_left_is_taken_again_as_an_existing_one(operator: Operator) -> None:
    own = "eight-uploads-000000000000-us-east-1"
    operator.s3.create_bucket(Bucket="another")
    deploy = ("deploy", "--stack", "eight", "--image", IMAGE, "--yes", "--set")
    for existing in ("", "another"):
        assert operator.run(*deploy, f"ExistingBucket={existing}").returncode == 0
    done = operator.run(*deploy, "ExistingBucket=")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"go on using it with SET=ExistingBucket={own}" in done.stderr

    done = operator.run(*deploy, f"ExistingBucket={own}")
    assert (done.returncode, done.stderr) == (0, "")
    assert [one["Id"] for one in notifications.read(operator.s3, own)["QueueConfigurations"]] == ["dropvec-eight"]
    assert notifications.read(operator.s3, "another") == {}


@pytest.mark.parametrize("trigger", ["queue", "direct"])
def test_the_bucket_that_stays_tells_nobody_who_is_gone(operator: Operator, trigger: str) -> None:
    name = f"three-{trigger}"
    bucket = f"{name}-uploads-000000000000-us-east-1"
    deploy = ("deploy", "--stack", name, "--image", IMAGE, "--yes")
    assert operator.run(*deploy, "--set", f"Trigger={trigger}").returncode == 0
    theirs = operator.add_queue(bucket, f"theirs-{trigger}")
    operator.sqs.delete_queue(QueueUrl=operator.sqs.get_queue_url(QueueName=f"theirs-{trigger}")["QueueUrl"])

    done = operator.run("destroy", "--stack", name, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"The bucket {bucket} no longer tells the stack {name}" in done.stdout
    assert notifications.read(operator.s3, bucket) == {"QueueConfigurations": [theirs]}


def test_a_stack_that_stays_is_told_as_before(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, bucket = "six", "six-uploads-000000000000-us-east-1"
    assert operator.run("deploy", "--stack", name, "--image", IMAGE, "--yes").returncode == 0
    before = notifications.read(operator.s3, bucket)

    def protect_and_agree(_: str) -> str:
        operator.cloudformation.update_termination_protection(StackName=name, EnableTerminationProtection=True)
        return "y"

    operator.come_here(monkeypatch)
    monkeypatch.setattr("builtins.input", protect_and_agree)
    assert main(["destroy", "--stack", name]) == 1
    assert "TerminationProtection" in capsys.readouterr().err
    assert notifications.read(operator.s3, bucket) == before

    assert main(["destroy", "--stack", name]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "the stack six is protected" in err


def test_a_bucket_out_of_reach_is_left_to_its_owner(operator: Operator) -> None:
    for bucket in ("away-first", "away-second"):
        operator.s3.create_bucket(Bucket=bucket)
    deploy = ("deploy", "--stack", "seven", "--image", IMAGE, "--yes", "--set")
    assert operator.run(*deploy, "ExistingBucket=away-first").returncode == 0
    operator.give_away("away-first")
    done = operator.run(*deploy, "ExistingBucket=away-second")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search("bucket away-first .* is left to its owner to remove: .*AccessDenied", done.stdout)
    assert [one["Id"] for one in notifications.read(operator.s3, "away-second")["QueueConfigurations"]] == [
        "dropvec-seven"
    ]

    operator.give_away("away-second")
    done = operator.run("destroy", "--stack", "seven", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search("bucket away-second .* is left to its owner to remove: .*AccessDenied", done.stdout)
    assert "seven" not in operator.stacks()


def test_a_stack_without_its_bucket_can_be_taken_away(operator: Operator) -> None:
    assert operator.run("deploy", "--stack", "four", "--image", IMAGE, "--yes").returncode == 0
    operator.s3.delete_bucket(Bucket="four-uploads-000000000000-us-east-1")
    done = operator.run("destroy", "--stack", "four", "--yes")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["deploy"], "the first deployment needs an image"),
        (["deploy", "--image", "dropvec:latest"], "no image in the ECR of us-east-1"),
        (["deploy", "--image", IMAGE.replace(REGION, "eu-west-1")], "no image in the ECR of us-east-1"),
        (["deploy", "--image", IMAGE, "--set", "Tiger=direct"], "no parameter of the template: Tiger; it has ImageUri"),
        (["deploy", "--image", IMAGE, "--set", "Trigger=wrong"], "AWS: .*Trigger"),
        (
            ["deploy", "--image", IMAGE, "--set", "Trigger=direct", "BackfillConcurrency=11"],
            "BackfillConcurrency=11 is a part of MaximumConcurrency=10, and cannot exceed it",
        ),
        (["deploy", "--image", IMAGE, "--set", "Trigger=direct", "BackfillConcurrency=many"], "AWS: .*Backfill"),
        (["deploy", "--stack", "My_Stack", "--image", IMAGE], "cannot be the stack's name"),
        (["destroy", "--stack", "none"], "there is no stack none in us-east-1"),
    ],
)
def test_what_cannot_be_is_one_line(
    operator: Operator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    operator.come_here(monkeypatch)
    assert main([*arguments, "--yes"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"dropvec: .*{said}.*\n", err), err


def test_without_credentials_or_region_it_says_so(operator: Operator) -> None:
    del operator.environment["AWS_REGION"]
    operator.environment.pop("AWS_DEFAULT_REGION", None)
    assert "no region is set" in operator.run("destroy").stderr


def test_wrong_usage(operator: Operator) -> None:
    done = operator.run("deploy", "--set", "Trigger")
    assert done.returncode == 2
    assert "'Trigger' is not NAME=VALUE" in done.stderr
