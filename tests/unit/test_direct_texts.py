"""Direct requests for texts, labels and checks."""

import base64
import json
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest

from handler.direct import respond
from handler.text import TextEncoder
from handler.timing import Deadline, Stopwatch
from tests.bundles import DIM, write_tiny_bundle
from tests.loopback_aws import State
from tests.pictures import card, encoded, picture
from tests.text_bundles import add_text
from tests.unit.conftest import World, build_world

PHOTO = encoded(picture(64, 48))
INLINE = {"id": "a", "data": base64.b64encode(PHOTO).decode()}
LABELS = ("cat", "dog", "sunset on a beach", "猫", "Eiffel Tower", "lamp")


@pytest.fixture(scope="module")
def text_bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TextEncoder]:
    bundle = write_tiny_bundle(tmp_path_factory.mktemp("models") / "texts")
    return bundle, add_text(bundle, DIM, LABELS)


@pytest.fixture
def speaking(aws: State, text_bundle: tuple[Path, TextEncoder]) -> World:
    return build_world(text_bundle[0], aws)


def ask(world: World, **body: Any) -> dict[str, Any]:
    response = respond(body, world.pipeline, Deadline(30))
    assert json.loads(json.dumps(response)) == response
    return response


def test_texts_are_answered_like_files(speaking: World, text_bundle: tuple[Path, TextEncoder]) -> None:
    texts = ["a photo of a cat", "", "猫 😀"]
    response = ask(speaking, texts=texts)
    output = response["task_output"]
    assert (response["status"], output["total_files"], output["model"]) == ("ok", 3, "tiny")
    assert [file["file_path"] for file in output["files"]] == texts
    for file, vector in zip(output["files"], text_bundle[1].embed(texts), strict=True):
        assert (file["status"], file["error"], file["error_code"]) == ("success", None, None)
        assert file["embedding"]["embedding_dim"] == DIM
        assert file["embedding"]["normalized"] is True
        assert np.allclose(file["embedding"]["embedding"], vector / np.linalg.norm(vector), atol=1e-6)


def test_texts_come_after_images_and_may_stay_as_they_are(speaking: World) -> None:
    speaking.put("x.png", PHOTO)
    files = ask(speaking, texts=["cat"], images=[INLINE], input_paths=["s3://uploads/x.png"], normalize=False)
    names = [file["file_path"] for file in files["task_output"]["files"]]
    assert names == ["s3://uploads/x.png", "a", "cat"]
    assert all(file["embedding"]["normalized"] is False for file in files["task_output"]["files"])


def test_a_model_without_texts_says_so(world: World) -> None:
    response = ask(world, texts=["cat"], images=[INLINE])
    assert (response["status"], response["error_code"]) == ("error", "no_text_tower")


def test_texts_cannot_be_stored_and_count_as_files(speaking: World) -> None:
    assert ask(speaking, texts=["cat"], store=True)["error_code"] == "invalid_request"
    assert ask(speaking, texts=["cat"] * 201)["error_code"] == "invalid_request"
    assert ask(speaking, texts=["half a \ud800"])["error_code"] == "invalid_request"


def test_a_text_tower_that_is_damaged_is_that_texts_error(
    aws: State, text_bundle: tuple[Path, TextEncoder], tmp_path: Path
) -> None:
    bundle = copytree(text_bundle[0], tmp_path / "bundle")
    (bundle / "text.onnx").write_bytes(b"damaged")
    files = ask(build_world(bundle, aws), texts=["cat"], images=[INLINE])["task_output"]["files"]
    assert [file["status"] for file in files] == ["success", "error"]
    assert files[1]["error_code"] == "invalid_bundle"


def test_every_result_carries_the_nearest_labels(speaking: World, text_bundle: tuple[Path, TextEncoder]) -> None:
    speaking.put("x.png", PHOTO)
    assert speaking.process("x.png").ending == "success"
    (file,) = ask(speaking, images=[INLINE])["task_output"]["files"]
    labels = text_bundle[1].embed(LABELS)
    labels /= np.linalg.norm(labels, axis=1, keepdims=True)
    cosines = labels @ np.array(file["embedding"]["embedding"], dtype=np.float32)
    expected = [LABELS[index] for index in np.argsort(-cosines, kind="stable")[:5]]
    assert [label["label"] for label in file["labels"]] == expected
    assert np.allclose([label["score"] for label in file["labels"]], np.sort(cosines)[::-1][:5], atol=2e-6)
    result = json.loads(speaking.result(speaking.results()[0]))
    assert result["labels"] == file["labels"]
    item = [{"label": each["M"]["label"]["S"], "score": float(each["M"]["score"]["N"])} for each in stored(speaking)]
    assert item == file["labels"]


def stored(world: World) -> list[Any]:
    found: list[Any] = world.item("x.png")["labels"]
    return found


def test_results_of_a_bundle_without_labels_have_none(world: World) -> None:
    world.put("x.png", PHOTO)
    world.process("x.png")
    assert "labels" not in world.item("x.png")
    assert "labels" not in json.loads(world.result(world.results()[0]))
    assert "labels" not in ask(world, images=[INLINE])["task_output"]["files"][0]


def test_other_labels_are_a_change_worth_storing(
    aws: State, text_bundle: tuple[Path, TextEncoder], tmp_path: Path
) -> None:
    before = build_world(text_bundle[0], aws)
    before.put("x.png", PHOTO)
    before.process("x.png")
    bundle = write_tiny_bundle(tmp_path / "bundle")
    add_text(bundle, DIM, ["house", "garden"])
    after = build_world(bundle, aws)
    assert after.process("x.png", sequencer=None).ending == "success"
    assert {each["M"]["label"]["S"] for each in stored(after)} == {"house", "garden"}


def test_a_check_tells_the_cosine_the_fingerprint_and_the_versions(
    aws: State, tiny_bundle: Path, tmp_path: Path
) -> None:
    bundle = copytree(tiny_bundle, tmp_path / "bundle")
    spec = json.loads((bundle / "model.json").read_bytes())
    world = build_world(bundle, aws)
    right = world.pipeline.embed_bytes(encoded(card()), Stopwatch()).vector
    (bundle / "model.json").write_text(json.dumps(spec | {"canonical_vector": right.tolist()}))
    found = ask(build_world(bundle, aws), check=True)
    assert (found["status"], found["cosine"]) == ("ok", pytest.approx(1, abs=1e-6))
    assert (found["model"], found["fingerprint"], found["graph"]) == ("tiny", "f" * 64, "portable")
    assert {"python", "onnxruntime", "numpy", "pillow"} <= found["versions"].keys()
    (bundle / "model.json").write_text(json.dumps(spec | {"canonical_vector": (-right).tolist()}))
    found = ask(build_world(bundle, aws), check=True)
    assert (found["status"], found["error_code"]) == ("error", "wrong_vector")
    assert "bake" in found["error"]


@pytest.mark.parametrize("extra", [{"images": [INLINE]}, {"store": True}, {"normalize": True}])
def test_a_check_goes_alone(world: World, extra: dict[str, Any]) -> None:
    assert ask(world, check=True, **extra)["error_code"] == "invalid_request"
