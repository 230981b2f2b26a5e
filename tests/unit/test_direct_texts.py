"""Direct requests for texts, labels and checks."""

import base64
import json
import platform
import sys
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from handler.direct import respond
from handler.model.labels import Label
from handler.model.prepared import base_options
from handler.model.text import TextEncoder
from handler.results.record import labels_attribute
from handler.timing import Deadline, Stopwatch
from tests.support.bundles import DIM, SIZE, write_tiny_bundle
from tests.support.loopback_aws import State
from tests.support.pictures import card, encoded, picture
from tests.support.text_bundles import add_text
from tests.unit.conftest import RESULTS, World, build_world

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


def test_a_response_with_texts_names_the_text_tower(speaking: World, text_bundle: tuple[Path, TextEncoder]) -> None:
    tower = text_bundle[1].spec.fingerprint
    output = ask(speaking, texts=["cat"], images=[INLINE])["task_output"]
    assert (output["fingerprint"], output["text_fingerprint"]) == (speaking.pipeline.encoder.spec.fingerprint, tower)
    assert "text_fingerprint" not in ask(speaking, images=[INLINE])["task_output"]
    assert ask(speaking, check=True)["text_fingerprint"] == tower


def test_a_model_without_texts_says_so(world: World) -> None:
    response = ask(world, texts=["cat"], images=[INLINE])
    assert (response["status"], response["error_code"]) == ("error", "no_text_tower")


def test_texts_cannot_be_stored_and_count_as_files(speaking: World) -> None:
    assert ask(speaking, texts=["cat"], store=True)["error_code"] == "invalid_request"
    assert ask(speaking, texts=["cat"] * 201)["error_code"] == "invalid_request"
    assert ask(speaking, texts=["half a \ud800"])["error_code"] == "invalid_request"


def test_a_text_tower_that_is_damaged_is_the_error_of_every_text(
    aws: State, text_bundle: tuple[Path, TextEncoder], tmp_path: Path
) -> None:
    bundle = copytree(text_bundle[0], tmp_path / "bundle")
    graph = bundle / "text.onnx"
    graph.write_bytes(graph.read_bytes()[::-1])
    read = opened(graph)
    files = ask(build_world(bundle, aws), texts=["cat", "dog", "猫"], images=[INLINE])["task_output"]["files"]
    assert [file["error_code"] for file in files] == [None, "invalid_bundle", "invalid_bundle", "invalid_bundle"]
    assert "text.onnx does not have the SHA-256" in files[3]["error"]
    assert len(read) == 1, "a tower is large: it is not hashed again for every text"


def opened(path: Path) -> list[object]:
    """What will grow by an entry with each opening of a file."""
    seen: list[object] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]) == str(path):
            seen.append(arguments)

    sys.addaudithook(hook)
    return seen


def test_every_result_carries_the_nearest_labels(speaking: World, text_bundle: tuple[Path, TextEncoder]) -> None:
    speaking.put("x.png", PHOTO)
    assert speaking.process("x.png").status == "success"
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


@pytest.mark.parametrize("sequencer", [None, "01", "02"], ids=["without a sequencer", "a repeat", "another upload"])
@pytest.mark.parametrize("normalize", ["true", "false"])
def test_a_bundle_with_other_labels_renews_the_item_and_the_json(
    aws: State, text_bundle: tuple[Path, TextEncoder], tmp_path: Path, sequencer: str | None, normalize: str
) -> None:
    before = build_world(text_bundle[0], aws)
    before.put("x.png", PHOTO)
    before.process("x.png", "01")
    bundle = write_tiny_bundle(tmp_path / "bundle")
    add_text(bundle, DIM, ["house", "garden"])
    after = build_world(bundle, aws, NORMALIZE=normalize)
    assert after.process("x.png", sequencer).status == "success"
    item = [each["M"]["label"]["S"] for each in stored(after)]
    assert set(item) == {"house", "garden"}
    (name,) = after.results()
    result = json.loads(after.result(name))
    assert [each["label"] for each in result["labels"]] == item
    assert after.item("x.png")["normalized"] is result["embedding"]["normalized"] is (normalize == "true")


@pytest.mark.parametrize("sequencer", [None, "01", "02"])
def test_the_same_labels_again_change_nothing(speaking: World, sequencer: str | None) -> None:
    speaking.put("x.png", PHOTO)
    speaking.process("x.png", "01")
    before = speaking.result(speaking.results()[0])
    assert speaking.process("x.png", sequencer).status == "success"
    assert speaking.result(speaking.results()[0]) == before, "not even the timings"


def test_labels_that_a_repeat_no_longer_finds_go_from_item_and_json(
    aws: State, text_bundle: tuple[Path, TextEncoder], tmp_path: Path
) -> None:
    before = build_world(text_bundle[0], aws)
    before.put("x.png", PHOTO)
    before.process("x.png", "01")
    (name,) = before.results()
    before.state.operator.s3.delete_object(Bucket=RESULTS, Key=name)
    after = build_world(write_tiny_bundle(tmp_path / "bundle"), aws)
    assert after.process("x.png", "01").status == "success"
    assert "labels" not in after.item("x.png")
    assert "labels" not in json.loads(after.result(name))


@pytest.mark.parametrize(
    ("score", "kept"),
    [
        (1.0, "1"),
        (0.0, "0"),
        (-0.0, "0"),
        (-1e-9, "0"),
        (4.2e-05, "0.000042"),
        (-0.25, "-0.25"),
        (0.123456, "0.123456"),
    ],
)
def test_scores_are_written_as_dynamodb_gives_them_back(score: float, kept: str) -> None:
    # It trims zeros and writes no exponents; a score that came back otherwise would look like another one.
    assert labels_attribute([Label("cat", score)]) == {"L": [{"M": {"label": {"S": "cat"}, "score": {"N": kept}}}]}


def test_a_check_returns_cosine_fingerprint_and_versions(aws: State, tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = copytree(tiny_bundle, tmp_path / "bundle")
    spec = json.loads((bundle / "model.json").read_bytes())
    world = build_world(bundle, aws)
    right = world.pipeline.embed_bytes(encoded(card()), Stopwatch()).vector
    (bundle / "model.json").write_text(json.dumps(spec | {"canonical_vector": right.tolist()}))
    found = ask(build_world(bundle, aws), check=True)
    assert (found["status"], found["cosine"]) == ("ok", pytest.approx(1, abs=1e-6))
    assert (found["model"], found["fingerprint"], found["graph"]) == ("tiny", spec["fingerprint"], "portable")
    assert "text_fingerprint" not in found
    assert {"python", "onnxruntime", "numpy", "pillow"} <= found["versions"].keys()
    (bundle / "model.json").write_text(json.dumps(spec | {"canonical_vector": (-right).tolist()}))
    found = ask(build_world(bundle, aws), check=True)
    assert (found["status"], found["error_code"]) == ("error", "wrong_vector")
    assert "bake" in found["error"]


def test_a_check_of_a_graph_that_does_not_run_is_an_error_and_not_an_exception(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["image", "shape"], ["features"])],
        "takes 3072 numbers and makes 48 of them",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", DIM])],
        [numpy_helper.from_array(np.array([1, DIM]), "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), base_options(1), providers=["CPUExecutionProvider"])
    encoder = replace(world.pipeline.encoder, session=session)
    response = respond({"check": True}, replace(world.pipeline, encoder=encoder), Deadline(30))
    assert set(response) == {"status", "error", "error_code"}
    assert (response["status"], response["error_code"]) == ("error", "internal")
    assert "\n" not in response["error"]
    assert "Traceback" in json.loads(capsys.readouterr().err)["trace"]


def test_a_package_without_metadata_has_an_unknown_version(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    versions = ask(world, check=True)["versions"]
    assert versions.pop("python") == platform.python_version()
    assert set(versions.values()) == {"unknown"}


@pytest.mark.parametrize("extra", [{"images": [INLINE]}, {"store": True}, {"normalize": True}])
def test_a_check_goes_with_no_other_field(world: World, extra: dict[str, Any]) -> None:
    assert ask(world, check=True, **extra)["error_code"] == "invalid_request"
