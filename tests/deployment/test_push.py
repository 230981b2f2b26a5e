"""`python -m infra push` as a user runs it, against the local AWS's registry, with a container engine of the tests."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from infra.common.local_session import CONFIG, session
from infra.common.paths import HANDLER, TEMPLATE
from infra.local.package import function_zip
from infra.local.server import local_aws
from tests.support.bundles import add_canonical_vector, write_tiny_bundle
from tests.support.deploy_command import environment, run
from tests.support.fake_engine import install
from tests.support.interruptions import interrupted_at
from tests.support.local_registry import REGISTRY, configuration

if TYPE_CHECKING:
    from subprocess import CompletedProcess


@dataclass(frozen=True)
class Machine:
    """A machine with a container engine and one image.

    Attributes:
        folder: the engine's folder (see `fake_engine`).
        endpoint: of the local AWS.
    """

    folder: Path
    endpoint: str

    @property
    def ecr(self) -> Any:
        return session().client("ecr", endpoint_url=self.endpoint, config=CONFIG)

    def run(self, *arguments: str) -> "CompletedProcess[str]":
        """Run a command in this process, with this machine's programs only."""
        return run(arguments, environment(self.endpoint) | {"PATH": str(self.folder)}, TEMPLATE)

    def build(self, bundle: Path) -> str:
        """Give the machine an image of this bundle, and return the image's id."""
        (self.folder / "bundle").write_text(str(bundle))
        identity = hashlib.sha256(configuration(function_zip(HANDLER, bundle))).hexdigest()
        (self.folder / "image").write_text(identity)
        return identity

    def commands(self, first: str) -> list[str]:
        """The engine's commands that begin with a word."""
        lines = (self.folder / "commands").read_text().splitlines()
        return [line for line in lines if line.split()[0] == first]

    def repository(self) -> dict[str, Any]:
        (found,) = self.ecr.describe_repositories(repositoryNames=["dropvec"])["repositories"]
        return dict(found)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_aws(tmp_path_factory.mktemp("push") / "aws.log") as aws:
        yield aws.endpoint


@pytest.fixture
def machine(tmp_path: Path, endpoint: str) -> Iterator[Machine]:
    folder = tmp_path / "engine"
    folder.mkdir()
    install(folder, "docker")
    made = Machine(folder, endpoint)
    yield made
    for one in made.ecr.describe_repositories()["repositories"]:
        made.ecr.delete_repository(repositoryName=one["repositoryName"], force=True)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return add_canonical_vector(write_tiny_bundle(tmp_path / "tiny"))


def test_push_creates_the_repository_and_prints_the_digest(machine: Machine, bundle: Path) -> None:
    identity = machine.build(bundle)
    done = machine.run("push")
    assert (done.returncode, done.stderr) == (0, "")
    created, uri, by_digest, advice = done.stdout.splitlines()
    assert created == "Created the repository dropvec in us-east-1 of account 000000000000."
    assert uri == f"Pushed {REGISTRY}/dropvec:{identity[:12]}"
    (image,) = machine.ecr.list_images(repositoryName="dropvec")["imageIds"]
    assert by_digest == f"{REGISTRY}/dropvec@{image['imageDigest']}"
    assert advice == f"Deploy it with `make deploy IMAGE_URI={by_digest}`."
    assert machine.repository()["imageTagMutability"] == "IMMUTABLE"
    assert machine.repository()["imageScanningConfiguration"] == {"scanOnPush": True}
    assert machine.commands("login") == [f"login --username AWS --password-stdin {REGISTRY}"]
    assert (machine.folder / "password").read_text()

    again = machine.run("push", "--json")
    assert (again.returncode, json.loads(again.stdout)["image"]) == (0, by_digest)
    assert len(machine.commands("push")) == 1
    done = machine.run("deploy", "--image", by_digest, "--stack", "pushed")
    assert "The stack pushed in us-east-1 of account 000000000000 would be created:" in done.stdout


def test_a_tag_is_not_moved_to_another_image(machine: Machine, bundle: Path, tmp_path: Path) -> None:
    machine.build(bundle)
    assert machine.run("push", "--tag", "dropvec:v1").returncode == 0
    machine.build(write_tiny_bundle(tmp_path / "other", gain=2))
    done = machine.run("push", "--tag", "dropvec:v1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "dropvec:v1 is another image already" in done.stderr
    assert machine.run("push").returncode == 0
    assert len(machine.ecr.list_images(repositoryName="dropvec")["imageIds"]) == 2


@pytest.mark.parametrize(("broken", "text"), [("login", "could not log in to"), ("push", "could not push")])
def test_the_next_push_finishes_what_an_interrupted_one_began(
    machine: Machine, bundle: Path, broken: str, text: str
) -> None:
    machine.build(bundle)
    (machine.folder / "broken").write_text(broken)
    done = machine.run("push")
    assert done.returncode == 1
    assert text in done.stderr.splitlines()[-1]
    assert machine.ecr.list_images(repositoryName="dropvec")["imageIds"] == []
    (machine.folder / "broken").unlink()
    done = machine.run("push")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Created the repository" not in done.stdout


def test_a_push_can_be_interrupted_at_every_call(machine: Machine, bundle: Path) -> None:
    identity = machine.build(bundle)
    for number in range(1, 30):
        with interrupted_at(number) as interruption:
            done = machine.run("push")
        if len(interruption.calls) < number:
            break
        assert (done.returncode, done.stderr) == (130, "dropvec: stopped\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Pushed {REGISTRY}/dropvec:{identity[:12]}" in done.stdout
    assert len(machine.ecr.list_images(repositoryName="dropvec")["imageIds"]) == 1
    assert machine.repository()["imageTagMutability"] == "IMMUTABLE"


@pytest.mark.parametrize("engine", ["podman", "buildah"])
def test_other_engines_push_without_a_tag_of_their_own(machine: Machine, bundle: Path, engine: str) -> None:
    identity = machine.build(bundle)
    (machine.folder / "docker").unlink()
    install(machine.folder, engine)
    done = machine.run("push")
    assert (done.returncode, done.stderr) == (0, "")
    assert machine.commands("push") == [f"push dropvec:latest {REGISTRY}/dropvec:{identity[:12]}"]
    assert machine.commands("tag") == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--tag", "dropvec:none"], "docker has no image dropvec:none: build it"),
        (["--repository", "Drop vec"], "'Drop vec' is not a valid name of a repository"),
    ],
)
def test_wrong_arguments_are_one_line_before_any_change(
    machine: Machine, bundle: Path, arguments: list[str], text: str
) -> None:
    machine.build(bundle)
    done = machine.run("push", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert text in done.stderr
    assert machine.ecr.describe_repositories()["repositories"] == []
