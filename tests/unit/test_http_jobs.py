"""Jobs and embeddings over HTTP."""

import base64
import json
import re
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest

from handler.api.http.scope import Scope
from handler.model.text import load_text_tower
from tests.support.bundles import DIM
from tests.support.class_bundles import add_class_labels, layer_of
from tests.support.http_api import HttpApi, Part, Reply, http_api, with_scope
from tests.support.loopback_aws import Request, Response, State
from tests.support.pictures import encoded, picture
from tests.support.text_bundles import add_text
from tests.unit.conftest import TABLE, UPLOADS, World, build_world

JOBS = "/jobs/clip_embedding"


def png(seed: int = 0) -> bytes:
    return encoded(picture(90, 70, seed=seed))


def keys(world: World, prefix: str = "") -> list[str]:
    found = world.state.operator.s3.list_objects_v2(Bucket=UPLOADS, Prefix=prefix).get("Contents", [])
    return [entry["Key"] for entry in found]


def create(api: HttpApi, *parts: Part) -> str:
    reply = api.post_form(JOBS, *parts)
    assert reply.status == 202
    assert reply.json["status"] == "queued"
    job_id: str = reply.json["job_id"]
    return job_id


def paths(reply: Reply) -> list[str]:
    return [entry["file_path"].rpartition("/")[2] for entry in reply.json["task_output"]["files"]]


def vector(entry: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.array(entry["embedding"]["embedding"], np.float32)


def test_a_job_from_its_files_to_their_vectors(world: World, api: HttpApi) -> None:
    parts = [Part("file", png(seed), "photo.png", "image/png") for seed in (1, 2)]
    job_id = create(api, *parts, Part("normalize", "true"), Part("priority", "7"))
    names = [f"jobs/{job_id}/{number}-photo.png" for number in range(2)]
    assert keys(world) == names
    head = world.state.operator.s3.head_object(Bucket=UPLOADS, Key=names[0])
    assert head["Metadata"] == {"files": "2", "normalize": "true", "priority": "7"}
    assert head["ContentType"] == "image/png"

    waiting = api.get(f"/jobs/{job_id}").json
    assert waiting == {
        "job_id": job_id,
        "status": "queued",
        "task_output": {"files": [], "total_files": 2, "normalize": True},
    }
    world.process(names[1])
    assert (api.get(f"/jobs/{job_id}").json["status"], paths(api.get(f"/jobs/{job_id}"))) == ("queued", ["1-photo.png"])
    world.process(names[0])
    done = api.get(f"/jobs/{job_id}").json
    assert done["status"] == "ok"
    for number, entry in enumerate(done["task_output"]["files"]):
        assert (entry["file_path"], entry["status"]) == (f"s3://{UPLOADS}/{names[number]}", "success")
        assert (entry["embedding"]["embedding_dim"], entry["embedding"]["normalized"]) == (DIM, True)
        stored = np.frombuffer(world.item(names[number])["embedding"], "<f4")
        assert np.array_equal(vector(entry), stored)


def test_vectors_as_they_were_before_normalisation(world: World, api: HttpApi) -> None:
    job_id = create(api, Part("file", png(), "a.png"), Part("normalize", "False"))
    (key,) = keys(world)
    world.process(key)
    output = api.get(f"/jobs/{job_id}").json["task_output"]
    item = world.item(key)
    assert output["normalize"] is False
    entry = output["files"][0]
    assert entry["embedding"]["normalized"] is False
    expected = np.frombuffer(item["embedding"], "<f4") * np.float32(item["norm"])
    assert np.array_equal(vector(entry), expected)
    direct = world.pipeline.embed_bytes(png(), watch())
    assert np.allclose(vector(entry), direct.vector, rtol=1e-5)


def watch() -> Any:
    from handler.timing import Stopwatch

    return Stopwatch()


def test_an_item_without_a_norm(world: World, api: HttpApi) -> None:
    job_id = create(api, Part("file", png(), "a.png"), Part("normalize", "FALSE"))
    (key,) = keys(world)
    world.process(key)
    world.state.operator.dynamodb.update_item(
        TableName=TABLE,
        Key={"source": {"S": f"s3://{UPLOADS}/{key}"}},
        UpdateExpression="REMOVE #n",
        ExpressionAttributeNames={"#n": "norm"},
    )
    (entry,) = api.get(f"/jobs/{job_id}").json["task_output"]["files"]
    assert (entry["status"], entry["error_code"], entry["embedding"]) == ("error", "norm_unknown", None)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("stored_normalized", ["true", "false"])
@pytest.mark.parametrize("wanted", ["true", "false"])
def test_every_stored_form_gives_the_vector(
    aws: State, tiny_bundle: Path, dtype: str, stored_normalized: str, wanted: str
) -> None:
    world = build_world(tiny_bundle, aws, EMBEDDING_DTYPE=dtype, NORMALIZE=stored_normalized)
    with http_api(aws, tiny_bundle, TABLE, Scope(UPLOADS, "", "")) as api:
        job_id = create(api, Part("file", png(), "a.png"), Part("normalize", wanted))
        (key,) = keys(world)
        world.process(key)
        (entry,) = api.get(f"/jobs/{job_id}").json["task_output"]["files"]
    assert entry["embedding"]["normalized"] == (wanted == "true")
    found = world.pipeline.embed_bytes(png(), watch())
    expected = found.normalize().vector if wanted == "true" else found.vector
    assert np.allclose(vector(entry), expected, rtol=2e-3 if dtype == "float16" else 1e-5, atol=1e-6)


def test_rejected_files_are_errors_of_their_own(world: World, api: HttpApi) -> None:
    job_id = create(api, Part("file", b"no picture", "a.txt"), Part("file", png(), "b.png"))
    for key in keys(world):
        world.process(key)
    answer = api.get(f"/jobs/{job_id}").json
    first, second = answer["task_output"]["files"]
    assert (answer["status"], answer["task_output"]["total_files"]) == ("ok", 2)
    assert (first["status"], first["error_code"], first["embedding"]) == ("error", "unsupported_format", None)
    assert first["error"] == world.item(keys(world)[0])["error"]
    assert second["status"] == "success"


def test_a_deleted_file_is_an_error_of_its_own(world: World, api: HttpApi) -> None:
    job_id = create(api, Part("file", png(1), "a.png"), Part("file", png(2), "b.png"))
    first, second = keys(world)
    for key in (first, second):
        world.process(key)
    world.delete(first)
    for _ in range(2):  # before and after the deletion has reached the table
        answer = api.get(f"/jobs/{job_id}").json
        assert answer["status"] == "ok"
        gone, kept = answer["task_output"]["files"]
        assert (gone["error_code"], gone["file_path"]) == ("not_found", f"s3://{UPLOADS}/jobs/{job_id}/0-")
        assert kept["file_path"] == f"s3://{UPLOADS}/{second}"
        world.process(first, "02")
    world.delete(second)
    assert api.get(f"/jobs/{job_id}").code == "not_found"


def test_a_file_that_is_replaced_is_queued_again(world: World, api: HttpApi) -> None:
    job_id = create(api, Part("file", png(1), "a.png"))
    (key,) = keys(world)
    world.process(key)
    world.state.operator.s3.put_object(
        Bucket=UPLOADS, Key=key, Body=png(2), Metadata={"files": "1", "normalize": "true"}
    )
    assert api.get(f"/jobs/{job_id}").json["status"] == "queued"
    world.process(key, "02")
    assert api.get(f"/jobs/{job_id}").json["status"] == "ok"


def test_a_hundred_files_stay_in_order(world: World, api: HttpApi) -> None:
    job_id = create(api, *(Part("file", f"{number}".encode(), "same") for number in range(100)))
    for key in reversed(keys(world)):
        world.process(key)
    answer = api.get(f"/jobs/{job_id}")
    assert answer.json["status"] == "ok"
    assert paths(answer) == [f"{number}-same" for number in range(100)]
    more = api.post_form(JOBS, *(Part("file", b"x", "same") for _ in range(101)))
    assert (more.status, more.code) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("photo.png", "photo.png"),
        ("Straße 1.png", "Straße 1.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\cat.png", "cat.png"),
        ("..", "file"),
        ("", "file"),
        ("a\tb\x07.png", "a_b_.png"),
        ("a%0D%0AX-Amz-Acl: public-read.png", "a__X-Amz-Acl: public-read.png"),
        ("<script>alert(1)<.png", "<script>alert(1)<.png"),
        ("${filename}.png", "_{filename}.png"),
        ("x" * 255, "x" * 255),
    ],
)
def test_names_of_files(world: World, api: HttpApi, name: str, stored: str) -> None:
    job_id = create(api, Part("file", png(), name))
    assert keys(world) == [f"jobs/{job_id}/0-{stored}"]


def test_a_name_that_is_too_long(world: World, api: HttpApi) -> None:
    reply = api.post_form(JOBS, Part("file", png(), "x" * 256))
    assert (reply.status, reply.code) == (400, "invalid_request")
    deep = with_scope(api, Scope(UPLOADS, "p" * 900, ""))
    reply = deep.post_form(JOBS, Part("file", png(), "x" * 90))
    assert (reply.status, reply.code, keys(world)) == (400, "invalid_request", [])


def test_filters_of_keys(world: World, api: HttpApi) -> None:
    narrow = with_scope(api, Scope(UPLOADS, "in/", ".png"))
    refused = narrow.post_form(JOBS, Part("file", png(), "a.png"), Part("file", png(), "b.jpg"))
    assert (refused.status, refused.code, keys(world)) == (400, "invalid_request", [])
    job_id = create(narrow, Part("file", png(), "a.png"))
    assert keys(world) == [f"in/jobs/{job_id}/0-a.png"]
    world.process(keys(world)[0])
    assert narrow.get(f"/jobs/{job_id}").json["status"] == "ok"
    assert api.get(f"/jobs/{job_id}").code == "not_found"


def test_an_empty_file_is_refused_before_anything_is_written(world: World, api: HttpApi) -> None:
    reply = api.post_form(JOBS, Part("file", png(), "a.png"), Part("file", b"", "b.png"))
    assert (reply.status, reply.code, keys(world)) == (422, "empty_object", [])


@pytest.mark.parametrize(
    "job_id",
    [
        "00000000-0000-4000-8000-000000000000",
        "none",
        "..",
        "%2e%2e",
        "00000000-0000-4000-8000-00000000000",
        "00000000000040008000000000000000",
        "00000000-0000-4000-8000-000000000000\n",
    ],
)
def test_ids_of_no_job(world: World, api: HttpApi, job_id: str) -> None:
    world.put("jobs/none/0-a.png", png())
    reply = api.get(f"/jobs/{job_id}")
    assert (reply.status, reply.code) == (404, "not_found")


def test_an_id_is_read_as_it_was_given(world: World, api: HttpApi) -> None:
    job_id = create(api, Part("file", png(), "a.png"))
    world.put(f"jobs/{job_id}0/0-b.png", png(2))
    assert api.get(f"/jobs/{job_id}").json["task_output"]["total_files"] == 1
    for other in (job_id.upper(), job_id[:-1], f"{job_id}0", f"{job_id}/0-a.png"):
        if other != job_id:
            assert api.get(f"/jobs/{other}").status == 404


@pytest.mark.parametrize("metadata", [{}, {"files": "x"}, {"files": "0"}, {"files": "1000"}, {"normalize": "true"}])
def test_objects_that_somebody_else_put_there_are_no_job(world: World, api: HttpApi, metadata: dict[str, str]) -> None:
    job_id = "11111111-1111-4111-8111-111111111111"
    world.state.operator.s3.put_object(Bucket=UPLOADS, Key=f"jobs/{job_id}/0-a.png", Body=png(), Metadata=metadata)
    assert api.get(f"/jobs/{job_id}").code == "not_found"


def test_labels_are_part_of_an_entry(aws: State, tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = copytree(tiny_bundle, tmp_path / "bundle")
    add_class_labels(bundle, layer_of(DIM))
    world = build_world(bundle, aws)
    with http_api(aws, bundle, TABLE, Scope(UPLOADS, "", "")) as api:
        job_id = create(api, Part("file", png(), "a.png"))
        world.process(keys(world)[0])
        (entry,) = api.get(f"/jobs/{job_id}").json["task_output"]["files"]
        shown = api.get("/items", source=entry["file_path"]).json
    assert entry["labels"] == shown["labels"]
    assert entry["labels"][0].keys() == {"label", "score"}


def failing(operation: str, status: int = 503) -> Any:
    body = b"<Error><Code>SlowDown</Code></Error>" if operation not in {"GetItem", "BatchGetItem"} else b"{}"

    def respond(request: Request) -> Response | None:
        return (
            Response(status, {}, b"" if request.method == "HEAD" else body) if request.operation == operation else None
        )

    return respond


@pytest.mark.parametrize("operation", ["PutObject", "ListObjectsV2", "HEAD", "BatchGetItem"])
def test_aws_that_fails_is_503(world: World, api: HttpApi, operation: str) -> None:
    job_id = create(api, Part("file", png(), "a.png"))
    world.process(keys(world)[0])
    api.seconds = 4.5  # enough for one more attempt
    with api.state.server.answering(failing(operation)) as requests:
        reply = (
            api.post_form(JOBS, Part("file", png(), "a.png"))
            if operation == "PutObject"
            else api.get(f"/jobs/{job_id}")
        )
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "2")
    assert 1 < len([request for request in requests if request.operation == operation]) <= 5


def test_reads_that_dynamodb_leaves_out_are_repeated(world: World, api: HttpApi) -> None:
    job_id = create(api, *(Part("file", png(seed), "a.png") for seed in range(3)))
    for key in keys(world):
        world.process(key)
    asked: list[int] = []

    def leave_out(request: Request) -> Response | None:
        if request.operation != "BatchGetItem":
            return None
        wanted = json.loads(request.body)["RequestItems"][TABLE]["Keys"]
        asked.append(len(wanted))
        if len(wanted) == 1:
            return None
        rest = {TABLE: {"Keys": wanted[1:], "ConsistentRead": True}}
        first = world.state.operator.dynamodb.get_item(TableName=TABLE, Key=wanted[0])["Item"]
        return Response(200, {}, json.dumps({"Responses": {TABLE: [wire(first)]}, "UnprocessedKeys": rest}).encode())

    with api.state.server.answering(leave_out):
        assert api.get(f"/jobs/{job_id}").json["status"] == "ok"
    assert asked == [3, 2, 1]


def wire(item: Any) -> Any:
    return {
        name: {kind: base64.b64encode(value).decode() if kind == "B" else value}
        for name, typed in item.items()
        for kind, value in typed.items()
    }


def test_throttled_reads_end_with_the_time(world: World, api: HttpApi) -> None:
    job_id = create(api, Part("file", png(), "a.png"))
    world.process(keys(world)[0])

    def leave_out(request: Request) -> Response | None:
        if request.operation != "BatchGetItem":
            return None
        wanted = json.loads(request.body)["RequestItems"]
        return Response(200, {}, json.dumps({"Responses": {}, "UnprocessedKeys": wanted}).encode())

    api.seconds = 4.2
    with api.state.server.answering(leave_out):
        assert api.get(f"/jobs/{job_id}").code == "unavailable"


@pytest.fixture
def with_text(aws: State, tiny_bundle: Path, tmp_path: Path) -> Any:
    bundle = copytree(tiny_bundle, tmp_path / "text")
    add_text(bundle, DIM)
    with http_api(aws, bundle, TABLE, Scope(UPLOADS, "", "")) as api:
        yield api


def test_embeddings_of_texts(with_text: HttpApi) -> None:
    tower = load_text_tower(with_text.services.towers.bundle)
    texts = ["a beach", "two dogs"]
    answer = with_text.post("/embeddings", {"model": with_text.services.identity.name, "input": texts}).json
    assert (answer["object"], answer["model"]) == ("list", with_text.services.identity.name)
    assert [each["index"] for each in answer["data"]] == [0, 1]
    for text, each in zip(texts, answer["data"], strict=True):
        expected = tower.embed([text])[0]
        assert np.allclose(each["embedding"], expected / np.linalg.norm(expected), atol=1e-6)
    single = with_text.post("/embeddings", {"input": "a beach", "encoding_format": "base64"}).json["data"]
    found = np.frombuffer(base64.b64decode(single[0]["embedding"]), "<f4")
    assert np.array_equal(found, np.array(answer["data"][0]["embedding"], np.float32))


def test_embeddings_of_images(world: World, api: HttpApi) -> None:
    expected = world.pipeline.embed_bytes(png(), watch()).normalize().vector
    data = base64.b64encode(png()).decode()
    uri = f"data:image/png;base64,{data}"
    for request in ({"input": uri}, {"input": [uri], "modality": "image"}, {"input": data, "modality": "image"}):
        (each,) = api.post("/embeddings", request).json["data"]
        assert np.array_equal(np.array(each["embedding"], np.float32), expected)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        ({"input": []}, 400, "invalid_request"),
        ({"input": ""}, 400, "invalid_request"),
        ({"input": [1, 2]}, 400, "invalid_request"),
        ({"input": [[1, 2], [3]]}, 400, "invalid_request"),
        ({"input": 5}, 400, "invalid_request"),
        ({"input": "x", "model": "text-embedding-3-small"}, 400, "invalid_request"),
        ({"input": "x", "dimensions": DIM - 1}, 400, "invalid_request"),
        ({"input": "x", "encoding_format": "int8"}, 400, "invalid_request"),
        ({"input": "x", "modality": "audio"}, 400, "invalid_request"),
        ({"input": "x", "other": 1}, 400, "invalid_request"),
        ({"input": ["x"] * 201}, 400, "invalid_request"),
        ({"input": "https://example.com/a.png", "modality": "image"}, 400, "invalid_request"),
        ({"input": "s3://uploads/a.png", "modality": "image"}, 400, "invalid_request"),
        ({"input": "file:///etc/passwd", "modality": "image"}, 400, "invalid_request"),
        ({"input": "data:image/png,raw"}, 400, "invalid_request"),
        ({"input": "!", "modality": "image"}, 400, "invalid_request"),
        ({"input": "x"}, 400, "no_text_tower"),
        ({"input": "data:text/plain;base64,eA==", "modality": "text"}, 400, "no_text_tower"),
        ({"input": f"data:image/png;base64,{base64.b64encode(png()[:80]).decode()}"}, 422, "corrupt_image"),
        ({"input": base64.b64encode(b"x" * 90).decode(), "modality": "image"}, 422, "unsupported_format"),
    ],
)
def test_bad_embeddings(api: HttpApi, request_: Any, status: int, code: str) -> None:
    reply = api.post("/embeddings", request_)
    assert (reply.status, reply.code) == (status, code)


def test_embeddings_end_with_the_time(with_text: HttpApi) -> None:
    with_text.seconds = 0
    reply = with_text.post("/embeddings", {"input": "x"}, headers={})
    assert (reply.status, reply.code) == (503, "unavailable")


def test_an_answer_never_passes_lambdas_limit(api: HttpApi) -> None:
    from dataclasses import replace

    identity = replace(api.services.identity, embedding_dim=4096)
    api.services = replace(api.services, identity=identity)
    reply = api.post("/embeddings", {"input": ["x"] * 100})
    found = re.search(r"at most (\d+)$", reply.json["error"])
    assert found is not None
    assert int(found[1]) * 4096 * 17 < 6_291_556 * 3 / 4
    assert api.post_form(JOBS, *(Part("file", b"x", "a") for _ in range(80))).code == "invalid_request"
