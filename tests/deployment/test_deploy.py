"""`python -m infra deploy` and `destroy` as a user runs them, against the local AWS."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.cli.main import main
from infra.common.local_session import ACCESS_KEY, CONFIG, REGION, session
from infra.common.template import Template, to_json
from infra.deploy import notifications, template_body
from infra.local.server import LocalAws, local_aws
from tests.support.bundles import add_canonical_vector, write_tiny_bundle
from tests.support.deploy_command import adapt, environment, run
from tests.support.local_registry import REGISTRY, REPOSITORY, push, template_of_images, without_aliases
from tests.support.steady_uploads import Uploads

if TYPE_CHECKING:
    from subprocess import CompletedProcess

IMAGE = f"{REGISTRY}/{REPOSITORY}:1"
TOPIC = f"arn:aws:sns:{REGION}:000000000000:no-topic"


class DeployCommands:
    def __init__(self, aws: LocalAws, template: Path) -> None:
        self.aws, self.template = aws, template
        self.environment = environment(aws.endpoint)
        self.s3: Any = session().client("s3", endpoint_url=aws.endpoint, config=CONFIG)
        self.sqs: Any = session().client("sqs", endpoint_url=aws.endpoint, config=CONFIG)
        self.lambda_: Any = session().client("lambda", endpoint_url=aws.endpoint, config=CONFIG)
        make_client: Any = session().client
        self.vectors: Any = make_client("s3vectors", endpoint_url=aws.endpoint, config=CONFIG)
        self.cloudformation: Any = session().client("cloudformation", endpoint_url=aws.endpoint, config=CONFIG)

    def run(self, *arguments: str, stdin: str = "") -> "CompletedProcess[str]":
        """Run a command in this process, with text on its standard input."""
        return run(arguments, self.environment, self.template, stdin)

    def set_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make this process call the local AWS, too."""
        adapt(monkeypatch, self.environment, self.template)

    def stacks(self) -> list[str]:
        return [one["StackName"] for one in self.cloudformation.describe_stacks()["Stacks"]]

    def resources(self, stack: str) -> dict[str, str]:
        listed = self.cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}

    def parameters(self, stack: str) -> dict[str, str]:
        (described,) = self.cloudformation.describe_stacks(StackName=stack)["Stacks"]
        return {one["ParameterKey"]: one["ParameterValue"] for one in described["Parameters"]}

    def live(self, stack: str) -> dict[str, str]:
        """The version that each function's alias names."""
        resources = self.resources(stack)
        names = {name: resources[name] for name in ("Function", "Indexer", "ApiFunction") if name in resources}
        if "FunctionAlias" not in resources:
            return {}
        return {
            name: self.lambda_.get_alias(FunctionName=function, Name="live")["FunctionVersion"]
            for name, function in names.items()
        }

    def uploads(self, stack: str) -> Uploads:
        """Uploads to a stack's bucket."""
        (described,) = self.cloudformation.describe_stacks(StackName=stack)["Stacks"]
        outputs = {one["OutputKey"]: one["OutputValue"] for one in described["Outputs"]}
        return Uploads(self.aws.endpoint, outputs["UploadsBucket"], outputs["TableName"])

    def invoked_by_events(self, stack: str) -> list[str]:
        """What the queue, the stream and the bucket of a stack invoke."""
        resources = self.resources(stack)
        names = [resources[name] for name in ("Function", "Indexer") if name in resources]
        found = [self.lambda_.list_event_source_mappings(FunctionName=name)["EventSourceMappings"] for name in names]
        configured = notifications.read(self.s3, f"{stack}-uploads-000000000000-us-east-1")
        return [
            *(each["FunctionArn"] for mappings in found for each in mappings),
            *(each["LambdaFunctionArn"] for each in configured.get("LambdaFunctionConfigurations", [])),
        ]

    def is_changing(self, stack: str) -> bool:
        """Whether CloudFormation is changing a stack."""
        found = self.cloudformation.describe_stacks()["Stacks"]
        status = next((one["StackStatus"] for one in found if one["StackName"] == stack), "")
        return str(status).endswith("IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"

    def check_released(self, stack: str, **configuration: object) -> None:
        """Check that the function's alias names a version with the stack's configuration."""
        function = self.resources(stack)["Function"]
        live = self.lambda_.get_function_configuration(FunctionName=function, Qualifier="live")
        latest = self.lambda_.get_function_configuration(FunctionName=function)
        assert live["CodeSha256"] == latest["CodeSha256"]
        assert live["Version"].isdecimal()
        assert {name: live[name] for name in configuration} == configuration

    def queue_arn(self, url: str) -> str:
        """The ARN of a queue."""
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn: str = answer["Attributes"]["QueueArn"]
        return arn

    def queue_settings(self, stack: str) -> tuple[int, int]:
        """The batch size and the maximum concurrency with which a stack's function reads its queue."""
        arn = self.queue_arn(self.resources(stack)["UploadsQueue"])
        (mapping,) = self.lambda_.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]
        return mapping["BatchSize"], mapping["ScalingConfig"]["MaximumConcurrency"]

    def move_to_other_account(self, bucket: str) -> None:
        """Replace a bucket by one of another account."""
        other_account: Any = session().client(
            "s3",
            endpoint_url=self.s3.meta.endpoint_url,
            config=CONFIG,
            aws_access_key_id="111111111111",  # the local AWS uses twelve digits as the account
            aws_secret_access_key=ACCESS_KEY,
        )
        self.s3.delete_bucket(Bucket=bucket)
        other_account.create_bucket(Bucket=bucket)

    def add_other_queue(self, bucket: str, name: str) -> dict[str, Any]:
        """Add a notification to a new queue that does not belong to the stack."""
        arn = self.queue_arn(self.sqs.create_queue(QueueName=name)["QueueUrl"])
        entry = {"Id": name, "QueueArn": arn, "Events": ["s3:ObjectRestore:Post"]}
        current = notifications.read(self.s3, bucket)
        queues = [*current.get("QueueConfigurations", []), entry]
        notifications.write(self.s3, bucket, {**current, "QueueConfigurations": queues})
        return entry


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """A separate local AWS, because the tests compare the list of its stacks."""
    with local_aws(tmp_path_factory.mktemp("deploy") / "aws.log") as running:
        yield running


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_canonical_vector(write_tiny_bundle(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="module")
def template(aws: LocalAws, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template for the local AWS, with `IMAGE` in its registry. Without search unless a test wants it: faster."""
    assert push(aws.endpoint, bundle, "1") == IMAGE
    path = tmp_path_factory.mktemp("template") / "template.yaml"
    path.write_text(to_json(without_search(template_of_images())))
    return path


def without_search(template: Template) -> Template:
    parameters = template["Parameters"]
    return template | {"Parameters": parameters | {"Search": parameters["Search"] | {"Default": "false"}}}


@pytest.fixture
def commands(aws: LocalAws, template: Path) -> DeployCommands:
    return DeployCommands(aws, template)


def test_a_stack_is_created_updated_and_deleted_after_confirmation(commands: DeployCommands) -> None:
    done = commands.run("deploy", "--stack", "one", "--image", IMAGE, stdin="n\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Add     UploadsQueue " in done.stdout
    assert done.stdout.endswith("Apply these changes? [y/N] Nothing was changed.\n")
    assert "one" not in commands.stacks()

    done = commands.run("deploy", "--stack", "one", "--image", IMAGE, stdin="y\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Embed a photo.\n  aws s3 cp photo.jpg s3://one-uploads-000000000000-us-east-1/\n" in done.stdout

    assert "is up to date." in commands.run("deploy", "--stack", "one").stdout
    assert commands.queue_settings("one") == (10, 10)

    settings = ("Trigger=direct", "MemorySize=3008", "BatchSize=8", "BackfillConcurrency=3")
    done = commands.run("deploy", "--stack", "one", "--set", *settings, stdin="y\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert commands.queue_settings("one") == (8, 3)
    assert "Modify  Function " in done.stdout
    configured = commands.s3.get_bucket_notification_configuration(Bucket="one-uploads-000000000000-us-east-1")
    assert len(configured["LambdaFunctionConfigurations"]) == 4
    assert "QueueConfigurations" not in configured
    catch_up = "`python3 -m infra backfill --stack one s3://one-uploads-000000000000-us-east-1/`"
    assert catch_up in done.stdout
    assert catch_up not in commands.run("deploy", "--stack", "one").stdout
    assert (
        "must not exceed MaximumConcurrency"
        in commands.run("deploy", "--stack", "one", "--set", "BackfillConcurrency=11").stderr
    )

    assert commands.run("destroy", "--stack", "one").stdout.endswith("Delete the stack? [y/N] \nNothing was changed.\n")
    table = commands.resources("one")["Table"]
    done = commands.run("destroy", "--stack", "one", stdin="y\n")
    assert (done.returncode, done.stderr) == (0, "")
    for retained in ("one-uploads-000000000000-us-east-1", "one-results-000000000000-us-east-1", table):
        assert f" {retained}\n" in done.stdout
    assert "one" not in commands.stacks()
    commands.s3.head_bucket(Bucket="one-uploads-000000000000-us-east-1")
    for bucket in ("one-uploads-000000000000-us-east-1", "one-results-000000000000-us-east-1"):
        assert "aws:SecureTransport" in commands.s3.get_bucket_policy(Bucket=bucket)["Policy"]

    done = commands.run("deploy", "--stack", "one", stdin="n\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"  Table                    {table}\n" in done.stdout
    assert done.stdout.endswith("[y/N] Nothing was changed.\n")
    assert "one" not in commands.stacks()
    done = commands.run("deploy", "--stack", "one", stdin="y\nn\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Add     Function " in done.stdout
    done = commands.run("deploy", "--stack", "one", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert commands.resources("one")["Table"] == table


def test_a_template_that_is_too_large_for_a_request_goes_through_a_bucket(
    commands: DeployCommands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.set_environment(monkeypatch)
    commands.s3.create_bucket(Bucket="templates")
    monkeypatch.setattr(template_body, "INLINE_LIMIT", 40_000)
    deploy = ("deploy", "--stack", "large", "--image", IMAGE, "--yes")
    assert main([*deploy]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"dropvec: the template has [0-9]{2},[0-9]{3} bytes .*--template-bucket\)\n", err)
    assert "large" not in commands.stacks()

    assert main([*deploy, "--template-bucket", "templates"]) == 0
    assert "Function" in commands.resources("large")
    assert "Contents" not in commands.s3.list_objects_v2(Bucket="templates")


def test_search_can_be_switched_on_for_an_existing_stack_and_off(commands: DeployCommands) -> None:
    def buckets() -> set[str]:
        listed = commands.vectors.list_vector_buckets()["vectorBuckets"]
        return {one["vectorBucketName"] for one in listed if one["vectorBucketName"].startswith("fourteen-")}

    deploy = ("deploy", "--stack", "fourteen", "--image", IMAGE, "--yes", "--set")
    done = commands.run(*deploy, "Search=false")
    assert (done.returncode, done.stderr) == (0, "")
    assert not {"VectorBucket", "Indexer", "ApiFunction", "ApiUrl"} & commands.resources("fourteen").keys()
    assert "index rebuild" not in done.stdout

    done = commands.run(*deploy, "Search=true")
    assert (done.returncode, done.stderr) == (0, "")
    assert "run `python3 -m infra index rebuild --stack fourteen`" in done.stdout
    (first,) = buckets()
    assert f"one for each model.\n  {first}\n" in done.stdout
    assert "index rebuild" not in commands.run(*deploy, "Metrics=false").stdout

    done = commands.run(*deploy, "Search=false")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"no longer uses the vector bucket {first}. It is kept with its indexes." in done.stdout
    assert buckets() == {first}

    done = commands.run(*deploy, "Search=true")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(buckets()) == 2


def test_the_model_is_verified_after_a_deployment(commands: DeployCommands) -> None:
    done = commands.run("deploy", "--stack", "fifteen", "--image", IMAGE, "--yes", "--set", "Search=true")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Verified: version 1 gives the right vector of its test image (tiny)." in done.stdout
    assert "Verified: version 1 of the indexer starts." in done.stdout
    assert "Verified: version 1 of the search function answers (tiny)." in done.stdout
    assert commands.live("fifteen") == {"Function": "1", "Indexer": "1", "ApiFunction": "1"}


@pytest.fixture(scope="module")
def others(aws: LocalAws, bundle: Path) -> dict[str, tuple[str, str]]:
    """The URI of other images, and the fingerprint of their model."""
    folder, endpoint = bundle.parent, aws.endpoint
    newer = add_canonical_vector(write_tiny_bundle(folder / "newer", gain=4))
    wrong = write_tiny_bundle(folder / "wrong", gain=3)  # its expected vector is zero
    bundles = {"newer": newer, "wrong": wrong, "broken": folder / "no-bundle"}
    return {
        name: (push(endpoint, path, name), fingerprint_of(path) if path.exists() else "")
        for name, path in bundles.items()
    }


def fingerprint_of(bundle: Path) -> str:
    fingerprint: str = json.loads((bundle / "model.json").read_bytes())["fingerprint"]
    return fingerprint


def test_a_version_that_fails_its_check_never_serves_and_a_release_can_be_undone(
    commands: DeployCommands, bundle: Path, others: dict[str, tuple[str, str]]
) -> None:
    first, (newer, second) = fingerprint_of(bundle), others["newer"]
    deploy = ("deploy", "--stack", "released", "--yes")
    assert commands.run(*deploy, "--image", IMAGE).returncode == 0
    uploads = commands.uploads("released")
    with uploads.continuing():
        for name, text in (("wrong", "version 2 of .* is wrong: .*cosine"), ("broken", "version 3 of .* fails: ")):
            done = commands.run(*deploy, "--image", others[name][0])
            assert done.returncode == 1
            assert re.fullmatch(
                rf"dropvec: {text}.*; nothing was released; still in use: version 1 of .*\n", done.stderr
            )
            assert commands.live("released") == {"Function": "1"}
        done = commands.run(*deploy, "--set", "MemorySize=3008")  # the stack has the broken image
        assert (done.returncode, commands.live("released")) == (1, {"Function": "1"})
    assert uploads.fingerprints() == {first}

    with uploads.continuing():
        done = commands.run(*deploy, "--image", newer)
    assert (done.returncode, done.stderr) == (0, "")
    assert commands.live("released") == {"Function": "5"}
    assert uploads.fingerprints() <= {first, second}
    assert uploads.fingerprint(uploads.upload()) == second

    done = commands.run(*deploy, "--rollback")
    assert (done.returncode, done.stderr) == (0, "")
    assert commands.live("released") == {"Function": "1"}
    assert uploads.fingerprint(uploads.upload()) == first
    done = commands.run(*deploy, "--rollback")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "dropvec: nothing to roll back to: the last release of the stack released was already rolled back\n"
    )
    done = commands.run(*deploy, "--set", "MemorySize=1769")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"dropvec: version 5 of \S+ was rolled back, .*: name the image .*\n", done.stderr)

    assert commands.run(*deploy, "--image", newer).returncode == 0
    assert uploads.fingerprint(uploads.upload()) == second


@pytest.mark.parametrize("trigger", ["queue", "direct"])
def test_a_stack_without_aliases_gets_them_while_images_arrive(
    commands: DeployCommands,
    bundle: Path,
    others: dict[str, tuple[str, str]],
    tmp_path: Path,
    trigger: str,
) -> None:
    has_search = trigger == "direct"
    stack = f"early-{trigger}"
    earlier = DeployCommands(commands.aws, tmp_path / "template.yaml")
    earlier.template.write_text(to_json(without_aliases(template_of_images())))
    deploy = ("deploy", "--stack", stack, "--yes", "--image")
    search = ["Search=true", "Api=token"] if has_search else ["Search=false"]
    assert earlier.run(*deploy, IMAGE, "--set", f"Trigger={trigger}", *search).returncode == 0
    assert commands.live(stack) == {}
    # The local AWS ends the invocations of a function that is updated. Their messages come back sooner than on AWS.
    queue = commands.resources(stack)["UploadsQueue"]
    commands.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "2"})
    uploads = commands.uploads(stack)
    uploads.upload()
    with uploads.continuing():
        done = commands.run(*deploy, others["wrong"][0])
    assert done.returncode == 1
    assert done.stdout.startswith("The stack is of an earlier template. First it gets the present one, with its image")
    assert "is wrong: " in done.stderr
    names = ["Function", "Indexer", "ApiFunction"] if has_search else ["Function"]
    assert commands.live(stack) == dict.fromkeys(names, "1")
    assert uploads.fingerprints() == {fingerprint_of(bundle)}
    assert {arn.rpartition(":")[2] for arn in commands.invoked_by_events(stack)} == {"live"}
    if has_search:
        api = {"FunctionName": commands.resources(stack)["ApiFunction"]}
        assert commands.lambda_.get_function_url_config(**api, Qualifier="live")
        with pytest.raises(commands.lambda_.exceptions.ResourceNotFoundException):
            commands.lambda_.get_function_url_config(**api)

    newer, fingerprint = others["newer"]
    assert commands.run(*deploy, newer).returncode == 0
    assert uploads.fingerprint(uploads.upload()) == fingerprint
    name = f"{commands.resources(stack)['Function']}:live"
    commands.lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"no": "event"}')
    dead = commands.resources(stack)["DeadLetterQueue"]
    (letter,) = commands.sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=20)["Messages"]
    assert json.loads(letter["Body"])["requestPayload"] == {"no": "event"}


@pytest.mark.parametrize("command", [("--image", IMAGE), ("--set", "Search=false")])
def test_a_rollback_goes_with_no_other_change(commands: DeployCommands, command: tuple[str, str]) -> None:
    done = commands.run("deploy", "--rollback", *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("dropvec: --rollback goes with --stack, --yes and --json only")


def test_a_rollback_of_no_stack_or_no_release_is_one_line(commands: DeployCommands) -> None:
    done = commands.run("deploy", "--stack", "none", "--rollback")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dropvec: there is no stack none in us-east-1 of account 000000000000\n"
    done = commands.run("deploy", "--stack", "fifteen", "--rollback")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch("dropvec: nothing to roll back to: no version of the stack fifteen .*\n", done.stderr)


@pytest.mark.parametrize("indexes", [0, 2])
def test_destroy_keeps_the_vector_bucket_or_drops_it(commands: DeployCommands, indexes: int) -> None:
    name = f"sixteen-{indexes}"
    deploy = ("deploy", "--stack", name, "--image", IMAGE, "--yes", "--set", "Search=true")
    assert commands.run(*deploy).returncode == 0
    arn = commands.resources(name)["VectorBucket"]
    bucket = arn.rpartition("/")[2]
    for number in range(indexes):
        where = {"vectorBucketName": bucket, "indexName": f"dropvec-{number}"}
        commands.vectors.create_index(**where, dataType="float32", dimension=2, distanceMetric="cosine")

    kept = commands.run("destroy", "--stack", name, stdin="n\n").stdout
    assert f"AWS::S3Vectors::VectorBucket {arn}\n" in kept
    done = commands.run("destroy", "--stack", name, "--drop-index", stdin="n\n")
    assert f"The vector bucket {bucket} would be deleted, with its indexes:\n  " in done.stdout
    assert "AWS::S3Vectors::VectorBucket" not in done.stdout
    assert commands.vectors.get_vector_bucket(vectorBucketName=bucket)

    done = commands.run("destroy", "--stack", name, "--drop-index", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Deleted the index dropvec-") == indexes
    assert f"Deleted the vector bucket {bucket}." in done.stdout
    with pytest.raises(commands.vectors.exceptions.NotFoundException):
        commands.vectors.get_vector_bucket(vectorBucketName=bucket)


def test_an_existing_bucket_keeps_its_other_notifications(commands: DeployCommands) -> None:
    commands.s3.create_bucket(Bucket="of-others")
    commands.add_other_queue("of-others", "theirs")
    before = notifications.read(commands.s3, "of-others")

    settings = ("--set", "ExistingBucket=of-others", "KeySuffix=.jpg")
    done = commands.run("deploy", "--stack", "two", "--image", IMAGE, *settings, stdin="y\nn\n")
    assert "Not changed: the bucket keeps its notifications." in done.stdout
    assert notifications.read(commands.s3, "of-others") == before
    assert "UploadsBucket" not in commands.resources("two")

    done = commands.run("deploy", "--stack", "two", stdin="y\n")
    assert (done.returncode, done.stderr) == (0, "")
    entries = notifications.read(commands.s3, "of-others")["QueueConfigurations"]
    assert sorted(one["Id"] for one in entries) == ["dropvec-two", "theirs"]
    assert "The event notifications" not in commands.run("deploy", "--stack", "two").stdout

    assert commands.run("destroy", "--stack", "two", "--yes").returncode == 0
    assert notifications.read(commands.s3, "of-others") == before


def test_notifications_of_the_owner_are_removed_only_after_confirmation(commands: DeployCommands) -> None:
    commands.s3.create_bucket(Bucket="by-hand")
    deploy = ("deploy", "--stack", "nine", "--image", IMAGE)
    assert commands.run(*deploy, "--set", "ExistingBucket=by-hand", stdin="y\nn\n").returncode == 0
    queue = commands.queue_arn(commands.resources("nine")["UploadsQueue"])

    def entry(suffix: str) -> dict[str, Any]:
        rules = [{"Name": "suffix", "Value": suffix}]
        filters = {"Key": {"FilterRules": rules}}
        return {"Id": suffix, "QueueArn": queue, "Events": ["s3:ObjectCreated:*"], "Filter": filters}

    notifications.write(commands.s3, "by-hand", {"QueueConfigurations": [entry(".jpg"), entry(".png")]})
    before = notifications.read(commands.s3, "by-hand")
    done = commands.run(*deploy, "--yes")
    assert done.returncode == 1
    assert "dropvec: the stack nine is deployed, but the bucket by-hand does not send its events to it" in done.stderr
    assert f"  - s3:ObjectCreated:* of *.jpg -> {queue}\n" in done.stdout
    assert f"  + s3:ObjectCreated:* of * -> {queue}\n" in done.stdout
    assert "Not changed: this would remove notifications that deploy did not add." in done.stdout
    assert notifications.read(commands.s3, "by-hand") == before

    assert commands.run(*deploy, stdin="y\n").returncode == 0
    assert [one["Id"] for one in notifications.read(commands.s3, "by-hand")["QueueConfigurations"]] == ["dropvec-nine"]


def test_an_existing_bucket_is_reconnected_before_the_rule_of_eventbridge_is_deleted(commands: DeployCommands) -> None:
    commands.s3.create_bucket(Bucket="of-eventbridge")
    deploy = ("deploy", "--stack", "ten", "--image", IMAGE, "--set")
    done = commands.run(*deploy, "ExistingBucket=of-eventbridge", "Trigger=eventbridge", "KeyPrefix=in/", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert "backfill" not in done.stdout
    before = notifications.read(commands.s3, "of-eventbridge")
    assert before == {"EventBridgeConfiguration": {}}

    done = commands.run(*deploy, "Trigger=queue", stdin="y\nn\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("Nothing was changed.\n")
    assert "UploadsRule" in commands.resources("ten")
    assert notifications.read(commands.s3, "of-eventbridge") == before

    done = commands.run(*deploy, "Trigger=queue", stdin="y\ny\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.index("Changed.") < done.stdout.index("UPDATE_COMPLETE ")
    assert done.stdout.count("The event notifications of the bucket") == 1
    assert "`python3 -m infra backfill --stack ten s3://of-eventbridge/in/`" in done.stdout
    configured = notifications.read(commands.s3, "of-eventbridge")
    assert [one["Id"] for one in configured["QueueConfigurations"]] == ["dropvec-ten"]


def test_without_confirmation_the_rule_of_eventbridge_is_kept(commands: DeployCommands) -> None:
    commands.s3.create_bucket(Bucket="of-both")
    deploy = ("deploy", "--stack", "eleven", "--image", IMAGE, "--yes", "--set")
    assert commands.run(*deploy, "ExistingBucket=of-both", "Trigger=eventbridge").returncode == 0
    queue = commands.queue_arn(commands.resources("eleven")["UploadsQueue"])
    jpegs = {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".jpg"}]}}
    manual = {"Id": "manual", "QueueArn": queue, "Events": ["s3:ObjectCreated:*"], "Filter": jpegs}
    notifications.write(commands.s3, "of-both", {"EventBridgeConfiguration": {}, "QueueConfigurations": [manual]})
    before = notifications.read(commands.s3, "of-both")

    done = commands.run(*deploy, "Trigger=queue")
    assert done.returncode == 1
    assert "nothing was changed: the bucket's notifications were not changed" in done.stderr
    assert "UploadsRule" in commands.resources("eleven")
    assert notifications.read(commands.s3, "of-both") == before


def test_a_user_without_access_to_the_bucket_can_continue(commands: DeployCommands) -> None:
    commands.s3.create_bucket(Bucket="not-mine")
    deploy = ("deploy", "--stack", "twelve", "--image", IMAGE, "--set")
    assert commands.run(*deploy, "ExistingBucket=not-mine", "Trigger=eventbridge", "--yes").returncode == 0
    queue = commands.queue_arn(commands.resources("twelve")["UploadsQueue"])
    commands.move_to_other_account("not-mine")
    done = commands.run(*deploy, "Trigger=queue", stdin="y\nn\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"The owner of the bucket not-mine must add event notifications to {queue}, because: " in done.stdout
    assert done.stdout.endswith("Nothing was changed.\n")
    sets = commands.cloudformation.list_change_sets(StackName="twelve")["Summaries"]
    assert "AVAILABLE" not in [one["ExecutionStatus"] for one in sets]
    done = commands.run(*deploy, "Trigger=queue", stdin="y\ny\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "`python3 -m infra backfill --stack twelve s3://not-mine/`" in done.stdout


def test_a_concurrent_change_of_notifications_is_not_overwritten(
    commands: DeployCommands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.s3.create_bucket(Bucket="busy")
    deploy = ("deploy", "--stack", "thirteen", "--image", IMAGE)
    assert commands.run(*deploy, "--set", "ExistingBucket=busy", stdin="y\nn\n").returncode == 0

    def change_and_confirm(_: str) -> str:
        commands.add_other_queue("busy", "sudden")
        return "y"

    commands.set_environment(monkeypatch)
    monkeypatch.setattr("builtins.input", change_and_confirm)
    assert main([*deploy]) == 0
    assert "the notifications were modified in the meantime" in capsys.readouterr().out
    assert [one["Id"] for one in notifications.read(commands.s3, "busy")["QueueConfigurations"]] == ["sudden"]


def test_an_abandoned_bucket_is_disconnected(commands: DeployCommands) -> None:
    first, second, own = "left-first", "left-second", "five-uploads-000000000000-us-east-1"
    theirs: dict[str, Any] = {}
    for bucket in (first, second):
        commands.s3.create_bucket(Bucket=bucket)
        commands.add_other_queue(bucket, f"theirs-{bucket}")
        theirs[bucket] = notifications.read(commands.s3, bucket)

    def deployed(stdin: str, *settings: str) -> str:
        done = commands.run("deploy", "--stack", "five", "--image", IMAGE, "--set", *settings, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def connected() -> list[str]:
        return [bucket for bucket, others in theirs.items() if notifications.read(commands.s3, bucket) != others]

    deployed("y\ny\n", f"ExistingBucket={first}")
    assert connected() == [first]
    assert f"The bucket {first} would be disconnected" in deployed("n\n", f"ExistingBucket={second}")
    assert connected() == [first]
    deployed("y\ny\n", f"ExistingBucket={second}")
    assert connected() == [second]
    deployed("y\n", "ExistingBucket=")
    assert connected() == []

    theirs[own] = {}
    assert "would be disconnected" not in deployed("y\n", "ExistingBucket=", "Trigger=direct")
    assert connected() == [own]
    deployed("y\ny\n", f"ExistingBucket={first}")
    assert connected() == [first]


def test_an_abandoned_bucket_of_the_stack_can_be_used_again_as_an_existing_one(commands: DeployCommands) -> None:
    own = "eight-uploads-000000000000-us-east-1"
    commands.s3.create_bucket(Bucket="another")
    deploy = ("deploy", "--stack", "eight", "--image", IMAGE, "--yes", "--set")
    for existing in ("", "another"):
        assert commands.run(*deploy, f"ExistingBucket={existing}").returncode == 0
    done = commands.run(*deploy, "ExistingBucket=")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"use it with SET=ExistingBucket={own}" in done.stderr

    done = commands.run(*deploy, f"ExistingBucket={own}")
    assert (done.returncode, done.stderr) == (0, "")
    assert [one["Id"] for one in notifications.read(commands.s3, own)["QueueConfigurations"]] == ["dropvec-eight"]
    assert notifications.read(commands.s3, "another") == {}


@pytest.mark.parametrize("trigger", ["queue", "direct"])
def test_destroy_disconnects_the_retained_bucket(commands: DeployCommands, trigger: str) -> None:
    name = f"three-{trigger}"
    bucket = f"{name}-uploads-000000000000-us-east-1"
    deploy = ("deploy", "--stack", name, "--image", IMAGE, "--yes")
    assert commands.run(*deploy, "--set", f"Trigger={trigger}").returncode == 0
    theirs = commands.add_other_queue(bucket, f"theirs-{trigger}")
    commands.sqs.delete_queue(QueueUrl=commands.sqs.get_queue_url(QueueName=f"theirs-{trigger}")["QueueUrl"])

    done = commands.run("destroy", "--stack", name, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Removed the notifications to the stack {name} from the bucket {bucket}:" in done.stdout
    assert notifications.read(commands.s3, bucket) == {"QueueConfigurations": [theirs]}


def test_a_stack_that_is_not_deleted_stays_connected(
    commands: DeployCommands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, bucket = "six", "six-uploads-000000000000-us-east-1"
    assert commands.run("deploy", "--stack", name, "--image", IMAGE, "--yes").returncode == 0
    before = notifications.read(commands.s3, bucket)

    def protect_and_confirm(_: str) -> str:
        commands.cloudformation.update_termination_protection(StackName=name, EnableTerminationProtection=True)
        return "y"

    commands.set_environment(monkeypatch)
    monkeypatch.setattr("builtins.input", protect_and_confirm)
    assert main(["destroy", "--stack", name]) == 1
    assert "TerminationProtection" in capsys.readouterr().err
    assert notifications.read(commands.s3, bucket) == before

    assert main(["destroy", "--stack", name]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "the stack six has termination protection" in err


def test_disconnecting_an_inaccessible_bucket_is_left_to_its_owner(commands: DeployCommands) -> None:
    for bucket in ("away-first", "away-second"):
        commands.s3.create_bucket(Bucket=bucket)
    deploy = ("deploy", "--stack", "seven", "--image", IMAGE, "--yes", "--set")
    assert commands.run(*deploy, "ExistingBucket=away-first").returncode == 0
    commands.move_to_other_account("away-first")
    done = commands.run(*deploy, "ExistingBucket=away-second")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search("owner of the bucket away-first must remove .*, because: .*AccessDenied", done.stdout)
    assert [one["Id"] for one in notifications.read(commands.s3, "away-second")["QueueConfigurations"]] == [
        "dropvec-seven"
    ]

    commands.move_to_other_account("away-second")
    done = commands.run("destroy", "--stack", "seven", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search("owner of the bucket away-second must remove .*, because: .*AccessDenied", done.stdout)
    assert "seven" not in commands.stacks()


def test_a_stack_whose_bucket_is_gone_can_be_deleted(commands: DeployCommands) -> None:
    assert commands.run("deploy", "--stack", "four", "--image", IMAGE, "--yes").returncode == 0
    commands.s3.delete_bucket(Bucket="four-uploads-000000000000-us-east-1")
    done = commands.run("destroy", "--stack", "four", "--yes")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def obstacles(aws: LocalAws, template: Path) -> None:
    """A bucket of another account, and a log group of the name that a stack would create."""
    commands = DeployCommands(aws, template)
    commands.s3.create_bucket(Bucket="of-another-account")
    commands.move_to_other_account("of-another-account")
    logs: Any = session().client("logs", endpoint_url=aws.endpoint, config=CONFIG)
    logs.create_log_group(logGroupName="/aws/lambda/logged")


DIRECT = ["deploy", "--image", IMAGE, "--set", "Trigger=direct"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["deploy"], "the first deployment needs an image"),
        (["deploy", "--image", "dropvec:latest"], "is not an image in ECR in us-east-1"),
        (["deploy", "--image", IMAGE.replace(REGION, "eu-west-1")], "is not an image in ECR in us-east-1"),
        (["deploy", "--image", IMAGE.replace(".com", ".com.cn")], "is not an image in ECR in us-east-1"),
        (["deploy", "--image", IMAGE.removesuffix(":1")], "has neither a tag nor a digest: add one, such as .*:1"),
        (["deploy", "--image", IMAGE.replace(":1", ":2")], "there is no image .*dropvec:2: push it first"),
        (["deploy", "--image", f"{REGISTRY}/other:1"], "there is no repository other in .*: create it"),
        (["deploy", "--image", IMAGE, "--set", "ApiImageUri=old"], "'old' is not an image in ECR in us-east-1"),
        (["deploy", "--image", IMAGE, "--set", "Architecture=arm64"], "ImageUri is built for x86_64, and .* arm64"),
        (["deploy", "--image", IMAGE, "--set", "Tiger=direct"], "has no parameter Tiger; did you mean Trigger"),
        (["deploy", "--image", IMAGE, "--set", "Trigger=wrong"], "Trigger=wrong: the value must be one of queue, "),
        (["deploy", "--image", IMAGE, "--set", "MemorySize=64"], "MemorySize=64: .* at least 512 and at most 10240"),
        (["deploy", "--image", IMAGE, "--set", "MemorySize=1 GB"], "MemorySize=1 GB: the value must be a whole number"),
        (["deploy", "--image", IMAGE, "--set", "KeyPrefix=a b"], r"KeyPrefix=a b: the value must match \^"),
        (["deploy", "--image", IMAGE, "--set", f"KeyPrefix={'a' * 513}"], "the value must have 0 to 512 characters"),
        ([*DIRECT, "BackfillConcurrency=11"], "BackfillConcurrency=11 must not exceed MaximumConcurrency=10"),
        ([*DIRECT, "BackfillConcurrency=many"], "BackfillConcurrency=many: the value must be a whole number"),
        (
            [*DIRECT, "MaximumConcurrency=950"],
            r"MaximumConcurrency=950 reserves 950 .* lets this stack reserve [0-9]+ \(of",
        ),
        (["deploy", "--image", IMAGE, "--set", "ExistingBucket=no-such-bucket"], "there is no bucket no-such-bucket"),
        (
            ["deploy", "--image", IMAGE, "--set", "ExistingBucket=of-another-account"],
            "does not belong to the account 0+",
        ),
        (["deploy", "--image", IMAGE, "--set", f"AlarmTopicArn={TOPIC}"], "there is no alarm topic arn:aws:sns:us"),
        (
            ["deploy", "--image", IMAGE, "--set", f"AlarmTopicArn={TOPIC.replace(REGION, 'eu-west-1')}"],
            "is in eu-west-1; an alarm in us-east-1 needs a topic there",
        ),
        (["deploy", "--stack", "logged", "--image", IMAGE], "the log group /aws/lambda/logged already exists"),
        (["deploy", "--stack", "My_Stack", "--image", IMAGE], "is not a valid stack name"),
    ],
)
@pytest.mark.usefixtures("obstacles")
def test_what_would_fail_is_one_line_before_any_change(
    commands: DeployCommands,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    before = commands.stacks()
    commands.set_environment(monkeypatch)
    assert main([*arguments, "--yes"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"dropvec: .*{message}.*\n", err), err
    assert commands.stacks() == before


def test_an_existing_topic_is_accepted(commands: DeployCommands) -> None:
    sns: Any = session().client("sns", endpoint_url=commands.s3.meta.endpoint_url, config=CONFIG)
    assert sns.create_topic(Name="alarms")["TopicArn"] == TOPIC.replace("no-topic", "alarms")
    topic = f"AlarmTopicArn={TOPIC.replace('no-topic', 'alarms')}"
    done = commands.run("deploy", "--stack", "alarmed", "--image", IMAGE, "--set", topic, stdin="n\n")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stack_that_does_not_exist_cannot_be_deleted(commands: DeployCommands) -> None:
    done = commands.run("destroy", "--stack", "none")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no stack none in us-east-1" in done.stderr


def test_a_tag_becomes_a_digest(commands: DeployCommands, bundle: Path) -> None:
    endpoint = commands.s3.meta.endpoint_url
    moving = push(endpoint, bundle, "moving")
    deploy = ("deploy", "--stack", "moved", "--image", moving)
    done = commands.run(*deploy, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(rf"{REGISTRY}/dropvec@sha256:[0-9a-f]{{64}}", commands.parameters("moved")["ImageUri"])

    assert "is up to date." in commands.run(*deploy).stdout
    assert push(endpoint, write_tiny_bundle(bundle.parent / "other", gain=2), "moving") == moving
    done = commands.run(*deploy, stdin="n\n")
    assert "Modify  Function " in done.stdout


def test_the_architecture_is_that_of_the_image(commands: DeployCommands, bundle: Path) -> None:
    arm = push(commands.s3.meta.endpoint_url, bundle, "arm", architecture="arm64")
    deploy = ("deploy", "--stack", "arms", "--image", arm)
    done = commands.run(*deploy, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert commands.parameters("arms")["Architecture"] == "arm64"

    done = commands.run("deploy", "--stack", "arms", "--set", f"ApiImageUri={IMAGE}")
    assert done.returncode == 2
    assert "ApiImageUri is built for x86_64, and the functions for arm64" in done.stderr
    done = commands.run("deploy", "--stack", "arms", "--image", IMAGE, stdin="n\n")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_missing_region_is_an_error(commands: DeployCommands) -> None:
    del commands.environment["AWS_REGION"]
    commands.environment.pop("AWS_DEFAULT_REGION", None)
    assert "no region is set" in commands.run("destroy").stderr


def test_wrong_usage(commands: DeployCommands) -> None:
    done = commands.run("deploy", "--set", "Trigger")
    assert done.returncode == 2
    assert "'Trigger' is not of the form NAME=VALUE" in done.stderr
