import base64
import json
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from handler.direct import MAX_ANSWER_BYTES, respond
from handler.model.text_labels import TextLabels
from handler.timing import Deadline
from tests.support.pictures import encoded, picture
from tests.unit.conftest import Serve, World

PHOTO = encoded(picture(64, 48))
INLINE = {"id": "a", "data": base64.b64encode(PHOTO).decode()}


def ask(world: World, **body: Any) -> dict[str, Any]:
    response = respond(body, world.pipeline, Deadline(30))
    assert json.loads(json.dumps(response)) == response
    return response


def test_paths_come_before_inline_images_and_agree(world: World) -> None:
    world.put("x y+z.png", PHOTO)
    response = ask(world, input_paths=["s3://uploads/x y+z.png"], images=[INLINE])
    output = response["task_output"]
    assert response["status"] == "ok"
    assert (output["total_files"], output["normalize"], output["model"]) == (2, True, "tiny")
    first, second = output["files"]
    assert (first["file_path"], second["file_path"]) == ("s3://uploads/x y+z.png", "a")
    assert first["embedding"] == second["embedding"]
    assert first["embedding"]["embedding_dim"] == len(first["embedding"]["embedding"]) == 48
    assert np.linalg.norm(first["embedding"]["embedding"]) == pytest.approx(1, abs=1e-6)
    assert (first["status"], first["error"], first["error_code"]) == ("success", None, None)
    assert world.results() == []
    assert world.item("x y+z.png") == {}


def test_not_normalised_on_request(world: World) -> None:
    (file,) = ask(world, images=[INLINE], normalize=False)["task_output"]["files"]
    assert file["embedding"]["normalized"] is False
    assert np.linalg.norm(file["embedding"]["embedding"]) != pytest.approx(1, abs=1e-3)


def test_store_writes_as_an_upload_would(world: World) -> None:
    world.put("a.png", PHOTO)
    response = ask(world, input_paths=["s3://uploads/a.png"], store=True, normalize=False)
    assert response["task_output"]["files"][0]["embedding"]["normalized"] is False
    assert world.item("a.png")["normalized"] is True
    assert len(world.results()) == 1
    again = ask(world, input_paths=["s3://uploads/a.png"], store=True)
    assert again["task_output"]["files"][0]["status"] == "success"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("s3://uploads/missing.png", "not_found"),
        ("s3://uploads/broken.png", "corrupt_image"),
        ("s3://uploads/empty.png", "empty_object"),
        ("s3://nowhere/a.png", "not_found"),
        ("https://example.com/a.png", "invalid_request"),
        ("s3://uploads/", "invalid_request"),
        ("s3://Bad_Bucket!/a.png", "invalid_request"),
        ("s3://uploads/" + "k" * 1025, "invalid_request"),
    ],
)
@pytest.mark.parametrize("store", [True, False])
def test_one_bad_file_is_its_own_error(world: World, path: str, code: str, store: bool) -> None:
    world.put("good.png", PHOTO)
    world.put("broken.png", PHOTO[:90])
    world.put("empty.png", b"")
    response = ask(world, input_paths=[path, "s3://uploads/good.png"], store=store)
    bad, good = response["task_output"]["files"]
    assert (bad["status"], bad["error_code"], bad["embedding"]) == ("error", code, None)
    assert bad["error"]
    assert good["status"] == "success"


@pytest.mark.parametrize(
    "data", ["", "!!!", base64.b64encode(b"no image").decode(), base64.b64encode(PHOTO[:90]).decode()]
)
def test_broken_inline_image(world: World, data: str) -> None:
    bad, good = ask(world, images=[{"id": "bad", "data": data}, INLINE])["task_output"]["files"]
    assert (bad["file_path"], bad["status"]) == ("bad", "error")
    assert bad["error_code"] in {"empty_object", "corrupt_image", "unsupported_format"}
    assert good["status"] == "success"


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "hello",
        {},
        {"hello": "world"},
        {"input_paths": []},
        {"input_paths": "s3://b/k"},
        {"input_paths": [1]},
        {"input_paths": ["s3://b/k"] * 201},
        {"images": [{"id": "a"}]},
        {"images": [INLINE], "store": True},
        {"images": [INLINE], "normalize": "yes"},
        {"images": [INLINE], "surprise": 1},
        {"images": [{"id": "\ud800", "data": ""}]},
        {"input_paths": ["s3://uploads/\udfff"]},
    ],
)
def test_a_request_that_does_not_validate(world: World, body: object) -> None:
    response = respond(body, world.pipeline, Deadline(30))
    assert set(response) == {"status", "error", "error_code"}
    assert (response["status"], response["error_code"]) == ("error", "invalid_request")
    assert "\n" not in response["error"]
    assert "Traceback" not in response["error"]


def test_without_time_left_files_come_back_as_unavailable(world: World) -> None:
    world.put("a.png", PHOTO)
    response = respond({"input_paths": ["s3://uploads/a.png"]}, world.pipeline, Deadline(-1))
    assert response["task_output"]["files"][0]["error_code"] == "unavailable"


def test_files_without_time_are_unavailable_and_the_rest_is_answered(world: World) -> None:
    seconds = iter(range(1000))
    files = respond({"images": [INLINE] * 40}, world.pipeline, Deadline(30, clock=lambda: next(seconds)))[
        "task_output"
    ]["files"]
    codes = [file["error_code"] for file in files]
    begun = codes.index("unavailable")
    assert codes == [None] * begun + ["unavailable"] * (40 - begun)
    assert 15 < begun < 25


def test_even_with_very_little_time_something_is_done(world: World) -> None:
    files = respond({"images": [INLINE]}, world.pipeline, Deadline(1.5))["task_output"]["files"]
    assert files[0]["status"] == "success"


def wide(world: World, dim: int, names: tuple[str, ...] | None = None) -> World:
    """The same with a model of so many dimensions, which gives the longest numbers there are."""
    encoder = world.pipeline.encoder
    vector = np.full(dim, -0.000123456789, dtype=np.float32)
    labels = None if names is None else TextLabels(names, np.ones((len(names), dim), dtype=np.float32))

    class Wide:
        spec = replace(encoder.spec, embedding_dim=dim)

        def __init__(self) -> None:
            self.labels = labels

        def embed(self, _: object) -> object:
            return vector

    return replace(world, pipeline=replace(world.pipeline, encoder=cast("Any", Wide())))


@pytest.mark.parametrize("names", [None, ("cat", "long " * 40, "猫" * 60)])
def test_an_answer_that_lambda_would_drop_is_refused_before_it_is_made(
    world: World, names: tuple[str, ...] | None
) -> None:
    broad = wide(world, 2560, names)
    response = ask(broad, input_paths=["s3://uploads/none.png"] * 200)
    assert (response["status"], response["error_code"]) == ("error", "invalid_request")
    fits = int(response["error"].split()[-4])
    assert response["error"].endswith(f"Lambda's limit is 6291556; ask for at most {fits} files at once")
    assert 100 < fits < 200
    answer = ask(broad, images=[INLINE | {"id": "é"}] * fits, normalize=False)
    assert [file["status"] for file in answer["task_output"]["files"]] == ["success"] * fits
    assert 0.6 * MAX_ANSWER_BYTES < len(json.dumps(answer)) <= MAX_ANSWER_BYTES


def test_long_ids_count_as_well(world: World) -> None:
    images = [INLINE | {"id": "x" * 2_000_000}] * 4
    assert "at most 3 files" in ask(world, images=images)["error"]
    assert ask(world, images=images[:3])["status"] == "ok"


def test_200_files_of_the_shipped_model_fit(world: World) -> None:
    assert ask(wide(world, 1280), input_paths=["s3://uploads/none.png"] * 200)["status"] == "ok"


def test_the_reason_of_a_failed_request_is_in_the_log(
    serve: Serve, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = serve({"input_paths": "s3://uploads/a.png"}, None, world.pipeline)
    assert answer is not None
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert line == {
        "level": "ERROR",
        "request_id": None,
        "message": "direct request failed",
        "error_code": "invalid_request",
        "error": answer["error"],
    }
