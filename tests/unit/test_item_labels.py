"""Labels of a classifier on their way into the item, the JSON and the answer."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from handler.direct import respond
from handler.model.encoder import load_encoder
from handler.timing import Deadline, Stopwatch
from infra.common.items import plain
from tests.support.bundles import DIM, write_tiny_bundle
from tests.support.class_bundles import CLASSES, add_class_labels
from tests.support.loopback_aws import State
from tests.support.pictures import encoded, picture
from tests.unit.conftest import build_world

PHOTO = encoded(picture(64, 48))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    noise = np.random.default_rng(4).standard_normal((CLASSES, DIM + 1)) * 3
    made = write_tiny_bundle(tmp_path / "tiny", gain=3)
    add_class_labels(made, noise.astype(np.float32))
    return made


@pytest.mark.parametrize("normalize", ["true", "false"])
def test_item_json_and_answer_have_the_labels(aws: State, bundle: Path, normalize: str) -> None:
    world = build_world(bundle, aws, NORMALIZE=normalize)
    world.put("x.png", PHOTO)
    assert world.process("x.png").status == "success"
    encoder = load_encoder(bundle)
    assert encoder.labels is not None
    vector = world.pipeline.embed_bytes(PHOTO, Stopwatch()).vector
    expected = [{"label": label.name, "score": label.score} for label in encoder.labels.top(vector)]
    assert len(expected) > 2
    assert plain({"labels": {"L": world.item("x.png")["labels"]}})["labels"] == expected
    assert json.loads(world.result(world.results()[0]))["labels"] == expected
    body = {"images": [{"id": "a", "data": base64.b64encode(PHOTO).decode()}], "normalize": normalize == "true"}
    (file,) = respond(body, world.pipeline, Deadline(30))["task_output"]["files"]
    assert file["labels"] == expected, "whether or not the vector is normalised"


@pytest.mark.parametrize("sequencer", [None, "01", "02"])
def test_the_same_image_again_changes_nothing(aws: State, bundle: Path, sequencer: str | None) -> None:
    world = build_world(bundle, aws)
    world.put("x.png", PHOTO)
    world.process("x.png", "01")
    item, result = world.item("x.png"), world.result(world.results()[0])
    assert world.process("x.png", sequencer).status == "success"
    assert world.item("x.png")["labels"] == item["labels"]
    assert world.result(world.results()[0]) == result


def test_a_bundle_that_gets_labels_renews_the_item(aws: State, bundle: Path, tmp_path: Path) -> None:
    before = build_world(write_tiny_bundle(tmp_path / "before", gain=3), aws)
    before.put("x.png", PHOTO)
    before.process("x.png", "01")
    assert "labels" not in before.item("x.png")
    after = build_world(bundle, aws)
    assert after.pipeline.encoder.spec.fingerprint == before.pipeline.encoder.spec.fingerprint
    assert after.process("x.png").status == "success"
    assert after.item("x.png")["labels"]
    assert json.loads(after.result(after.results()[0]))["labels"]
