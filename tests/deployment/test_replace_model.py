"""Replacing the model with the commands of docs/search.md, while images are uploaded, overwritten and deleted."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from handler.model.spec import load_spec
from infra.common.local_session import CONFIG, session
from infra.common.paths import ROOT
from infra.common.template import to_json
from infra.local.server import local_aws
from infra.operate.backfill import state
from tests.support.bundles import SIZE, add_canonical_vector, write_tiny_bundle
from tests.support.deploy_command import environment, run
from tests.support.local_registry import push, template_of_images
from tests.support.pictures import encoded, picture
from tests.support.processes import eventually

if TYPE_CHECKING:
    from subprocess import CompletedProcess

UPLOADS = "dropvec-uploads-000000000000-us-east-1"
QUERY = 100  # seed of the picture that is searched for
# The old model weighs all colours alike, the new one mostly the upper part of red.
GAINS = {"old": np.ones(48), "new": np.linspace(2, 0, 48)}

Vector = npt.NDArray[np.float64]


def vector(seed: int, gain: Vector) -> Vector:
    """The vector of a picture, calculated without the model."""
    pixels = np.asarray(picture(SIZE, SIZE, seed=seed), dtype=np.float64) / 255
    cells = pixels.reshape(4, 8, 4, 8, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    numbers: Vector = (cells.ravel() - 0.5) * gain
    return numbers / np.linalg.norm(numbers)


@dataclass
class Recipe:
    """The stack with its commands, and what was uploaded.

    Attributes:
        endpoint: of the local AWS.
        template: of the stack.
        images: URI of the image of each model.
        fingerprints: of each model.
        query: file with the picture that is searched for.
        steps: commands of the documentation that were run.
    """

    endpoint: str
    template: Path
    images: Mapping[str, str]
    fingerprints: Mapping[str, str]
    query: Path
    steps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.s3: Any = session().client("s3", endpoint_url=self.endpoint, config=CONFIG)
        self.dynamodb: Any = session().client("dynamodb", endpoint_url=self.endpoint, config=CONFIG)

    def run(self, *arguments: str) -> "CompletedProcess[str]":
        """Run a command, and confirm what it asks."""
        return run(arguments, environment(self.endpoint), self.template, stdin="y\n")

    def step(self, documented: str) -> str:
        """Run a command of the documentation, which succeeds; its output."""
        self.steps.append(documented)
        words = documented
        for name, value in self.values().items():
            words = words.replace(name, value)
        done = self.run(*words.split())
        assert done.returncode == 0, done.stderr
        return done.stdout

    def values(self) -> dict[str, str]:
        """What replaces the names in capitals of the documentation."""
        return {
            "NEW_IMAGE_URI": self.images["new"],
            "OLD_IMAGE_URI": self.images["old"],
            "UPLOADS_BUCKET": UPLOADS,
            "OLD_FINGERPRINT": self.fingerprints["old"],
        }

    def json(self, *arguments: str) -> Any:
        """Run a command that succeeds; its answer."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def upload(self, key: str, seed: int) -> None:
        self.s3.put_object(Bucket=UPLOADS, Key=key, Body=encoded(picture(SIZE, SIZE, seed=seed)))

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=UPLOADS, Key=key)

    def finds(self, uploaded: Mapping[str, int], model: str) -> bool:
        """Whether a search finds exactly these images, with the cosines of a model; waits for the index."""
        expected = {key: vector(seed, GAINS[model]) @ vector(QUERY, GAINS[model]) for key, seed in uploaded.items()}

        def is_found() -> bool:
            answer = self.json("search", str(self.query), "-k", "100")
            assert answer["fingerprint"] == self.fingerprints[model]
            found = {hit["source"].removeprefix(f"s3://{UPLOADS}/"): hit["score"] for hit in answer["hits"]}
            return bool(found == pytest.approx(expected, abs=1e-5))

        return eventually(is_found, 60)

    def is_processed(self, images: int) -> bool:
        """Whether no message waits, and so many images have vectors of the new model alone."""
        status = self.json("status")
        models = {one["fingerprint"]: one["count"] for one in status["table"]["counted"]["models"]}
        waiting = status["queue"]["waiting"] + status["queue"]["in_flight"]
        return not waiting and models == {self.fingerprints["new"]: images}

    def indexes(self) -> dict[str, tuple[int, list[str]]]:
        """By fingerprint: the number of vectors of the index, and what uses it."""
        found = self.json("index", "status")["indexes"]
        return {one["fingerprint"]: (one["vectors"], one["used_by"]) for one in found}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recipe]:
    """A local AWS with an image of each model, and no stack."""
    folder = tmp_path_factory.mktemp("replace")
    bundles = {
        model: add_canonical_vector(write_tiny_bundle(folder / model, name=model, gain=gain.tolist()))
        for model, gain in GAINS.items()
    }
    template, query = folder / "template.yaml", folder / "query.png"
    template.write_text(to_json(template_of_images()))
    query.write_bytes(encoded(picture(SIZE, SIZE, seed=QUERY)))
    with pytest.MonkeyPatch.context() as patch, local_aws(folder / "aws.log") as aws:
        patch.setattr(state, "FOLDER", folder / "backfill")
        yield Recipe(
            endpoint=aws.endpoint,
            template=template,
            images={model: push(aws.endpoint, bundle, model) for model, bundle in bundles.items()},
            fingerprints={model: load_spec(bundle).fingerprint for model, bundle in bundles.items()},
            query=query,
        )


def documented_commands() -> list[str]:
    """The commands that docs/search.md gives for the replacement, without the name of the program."""
    text = (ROOT / "docs" / "search.md").read_text(encoding="utf-8").partition("\n## Replace the model\n")[2]
    return re.findall(r"^\$ dropvec (.*)$", text.partition("\n## ")[0], re.MULTILINE)


def test_the_model_is_replaced_while_images_are_uploaded(recipe: Recipe) -> None:
    settings = ("MaximumConcurrency=2", "BackfillConcurrency=2")
    done = recipe.run("deploy", "--image", recipe.images["old"], "--set", *settings)
    assert (done.returncode, done.stderr) == (0, "")
    images = {f"{seed}.png": seed for seed in range(6)}
    for key, seed in images.items():
        recipe.upload(key, seed)
    assert recipe.finds(images, "old")

    recipe.step("deploy --image NEW_IMAGE_URI --set ApiImageUri=OLD_IMAGE_URI")
    in_between = {"added.png": 10, "4.png": 11}
    for key, seed in in_between.items():
        recipe.upload(key, seed)
    recipe.delete("5.png")
    unchanged = {f"{seed}.png": seed for seed in range(4)}
    assert recipe.finds(unchanged, "old")  # never a new picture under an old vector
    refused = recipe.run("index", "drop", recipe.fingerprints["old"])
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "it is used by search; --force" in refused.stderr

    assert "\n6 objects: " in recipe.step("backfill s3://UPLOADS_BUCKET/ --reembed")
    recipe.upload("during.png", 12)
    images = unchanged | in_between | {"during.png": 12}
    assert eventually(lambda: recipe.is_processed(len(images)), 60)
    assert f"{len(images)}  new, fingerprint" in recipe.step("status")
    assert "They agree." in recipe.step("index verify")
    assert recipe.finds(unchanged, "old")

    recipe.step("deploy --set ApiImageUri=")
    assert recipe.finds(images, "new")
    assert "used by nothing; delete it with `index drop" in recipe.step("index status")
    recipe.step("index drop OLD_FINGERPRINT")
    assert recipe.steps == documented_commands()

    images["after.png"] = 13
    recipe.upload("after.png", 13)
    assert recipe.finds(images, "new")
    assert recipe.indexes() == {recipe.fingerprints["new"]: (len(images), ["search", "uploads"])}
    assert recipe.json("index", "verify")["differences"] == []
