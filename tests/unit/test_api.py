"""The entry point of the function `Api` in processes of its own: what it loads, its answers and its log."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from handler.index.names import index_name
from handler.index.plan import plan_of
from handler.index.stream import Change
from handler.index.writer import IndexWriter
from handler.model.identity import load_identity
from handler.timing import Deadline
from tests.support.bundles import DIM
from tests.support.class_bundles import add_class_labels, layer_of
from tests.support.http_api import http_event
from tests.support.loopback_aws import State
from tests.support.pictures import encoded, picture
from tests.support.s3vectors_server import s3vectors_server
from tests.support.stored_items import Made
from tests.support.text_bundles import add_text
from tests.support.vector_indexes import VECTORS, Indexes
from tests.unit.conftest import TABLE
from tests.unit.test_app import one_line, run

IMPORT = "import handler.api.app"
SOURCES = [f"s3://uploads/{number}.jpg" for number in range(5)]
LABELS = [("tabby", 0.5), ("cat", 0.75)]
NATIVE = {"PIL", "numpy", "onnxruntime", "tokenizers"}

CODE = """
import json, sys, handler.api.app
class Context:
    aws_request_id = "request-1"
    def get_remaining_time_in_millis(self):
        return 60000
answer = handler.api.app.handler(json.loads({event!r}), Context())
packages = {{name.partition('.')[0] for name in sys.modules if not name.startswith('_')}}
print(json.dumps([answer, sorted(packages - sys.stdlib_module_names - {{'sitecustomize'}})]))
"""


@dataclass
class Asked:
    """What an invocation did: its answer, its log line, and the packages that it imported."""

    answer: dict[str, Any]
    log: dict[str, Any]
    packages: set[str]


@dataclass
class Function:
    """A table and an index with five items, and the function's environment without its bundle."""

    indexes: Indexes
    endpoint: str
    aws: State

    def fill(self, bundle: Path) -> None:
        fingerprint = load_identity(bundle).fingerprint
        vectors = np.random.default_rng(0).standard_normal((len(SOURCES), DIM))
        made = [
            Made(name, fingerprint=fingerprint, labels=LABELS, vector=row)
            for name, row in zip(SOURCES, vectors, strict=True)
        ]
        changes = [Change(one.source, None, one.item()) for one in made]
        IndexWriter(self.indexes.client).apply(plan_of(changes), Deadline(60))
        rejected = replace(made[0], source="s3://uploads/rejected.txt", status="error")
        for one in [*made, rejected]:
            self.aws.operator.dynamodb.put_item(TableName=TABLE, Item=one.wire())

    def settings(self, bundle: Path) -> dict[str, str]:
        endpoints = {"AWS_ENDPOINT_URL": self.aws.server.endpoint, "AWS_ENDPOINT_URL_S3VECTORS": self.endpoint}
        return {"MODEL_DIR": str(bundle), "TABLE_NAME": TABLE, "VECTOR_BUCKET": VECTORS, **endpoints}

    def ask(self, bundle: Path, event: Any, **more: str) -> Asked:
        done = run(CODE.format(event=json.dumps(event)), **self.settings(bundle) | more)
        assert (done.returncode, done.stderr) == (0, "")
        line, result = map(json.loads, done.stdout.splitlines())
        answer, packages = result
        return Asked(answer, line, set(packages))


@pytest.fixture
def function(aws: State) -> Iterator[Function]:
    indexes = Indexes()
    with s3vectors_server(indexes.stand_in) as endpoint:
        yield Function(indexes, endpoint, aws)


@pytest.fixture(scope="module")
def text_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Path:
    bundle = copytree(tiny_bundle, tmp_path_factory.mktemp("models") / "text")
    add_text(bundle, DIM)
    return bundle


@pytest.mark.parametrize("query", [{"source": SOURCES[0]}, {"vector": [1.0] * DIM}, [{"source": SOURCES[0]}] * 2])
def test_an_example_or_a_vector_needs_no_model(function: Function, tiny_bundle: Path, query: Any) -> None:
    function.fill(tiny_bundle)
    asked = function.ask(tiny_bundle, {"query": query, "filter": {"format": "jpeg"}})
    assert asked.packages == {"handler", "orjson"}
    assert (asked.answer["status"], len(asked.answer["hits"])) == ("ok", 5 if "vector" in query else 4)
    assert asked.log == {"level": "INFO", "request_id": "request-1", "hits": len(asked.answer["hits"])}


@pytest.mark.parametrize("name", ["s3://uploads/absent.jpg", "s3://uploads/rejected.txt"])
def test_an_error_needs_no_model_either_and_is_in_the_log(function: Function, tiny_bundle: Path, name: str) -> None:
    function.fill(tiny_bundle)
    asked = function.ask(tiny_bundle, {"query": {"source": name}})
    code = "not_found" if "absent" in name else "not_indexed"
    assert asked.packages == {"handler", "orjson"}
    assert asked.answer == {"status": "error", "error": asked.answer["error"], "error_code": code}
    logged = {"error": asked.answer["error"], "error_code": code}
    assert asked.log == {"level": "ERROR", "request_id": "request-1", "hits": 0, **logged}


def test_duplicates_need_numpy_alone(function: Function, tiny_bundle: Path) -> None:
    function.fill(tiny_bundle)
    asked = function.ask(tiny_bundle, {"query": {"source": SOURCES[0]}, "dedupe": 0.9})
    assert asked.packages == {"handler", "numpy", "orjson"}


def without_file(bundle: Path, folder: Path, name: str) -> Path:
    copy = copytree(bundle, folder / "bundle")
    (copy / name).write_bytes(b"damaged")
    return copy


def test_words_need_the_text_tower_alone(function: Function, text_bundle: Path, tmp_path: Path) -> None:
    bundle = without_file(text_bundle, tmp_path, "image.onnx")
    function.fill(bundle)
    asked = function.ask(bundle, {"query": {"text": "a beach"}})
    assert (asked.answer["status"], len(asked.answer["hits"])) == ("ok", 5)
    assert "PIL" not in asked.packages


def test_a_picture_needs_the_image_tower_alone(function: Function, text_bundle: Path, tmp_path: Path) -> None:
    bundle = without_file(text_bundle, tmp_path, "text.onnx")
    function.fill(bundle)
    asked = function.ask(bundle, {"query": {"image": base64.b64encode(encoded(picture())).decode()}})
    assert (asked.answer["status"], len(asked.answer["hits"])) == ("ok", 5)
    assert asked.packages & NATIVE == {"PIL", "numpy", "onnxruntime"}


def test_a_damaged_tower_is_an_error_of_the_requests_that_need_it(
    function: Function, text_bundle: Path, tmp_path: Path
) -> None:
    bundle = without_file(text_bundle, tmp_path, "text.onnx")
    function.fill(bundle)
    asked = function.ask(bundle, {"query": {"text": "a beach"}})
    assert asked.answer["error_code"] == "invalid_bundle"
    assert function.ask(bundle, {"query": {"source": SOURCES[0]}}).answer["status"] == "ok"


def test_a_word_of_a_vocabulary_needs_no_graph(function: Function, tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = without_file(tiny_bundle, tmp_path, "image.onnx")
    add_class_labels(bundle, layer_of(DIM))
    function.fill(bundle)
    asked = function.ask(bundle, {"query": {"text": "cat"}})
    assert [hit["label_score"] for hit in asked.answer["hits"]] == [0.75] * 5
    assert asked.packages & NATIVE == {"numpy"}
    unknown = function.ask(bundle, {"query": {"text": "cow"}})
    assert unknown.answer["error_code"] == "unknown_word"
    assert unknown.packages == {"handler", "orjson"}


def test_a_request_that_is_none(function: Function, tiny_bundle: Path) -> None:
    asked = function.ask(tiny_bundle, ["query"])
    assert asked.answer["error_code"] == "invalid_request"
    assert asked.packages == {"handler", "orjson"}


def test_a_stack_without_search(function: Function, tiny_bundle: Path) -> None:
    asked = function.ask(tiny_bundle, {"query": {"text": "cat"}}, VECTOR_BUCKET="")
    assert asked.answer["error_code"] == "search_off"


def test_the_index_is_that_of_the_bundle(function: Function, tiny_bundle: Path) -> None:
    function.fill(tiny_bundle)
    assert function.indexes.names() == [index_name(load_identity(tiny_bundle).fingerprint)]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"TABLE_NAME": ""}, "TABLE_NAME is not set; set it to"),
        ({"MODEL_DIR": "/nowhere"}, "no model bundle: set MODEL_DIR to"),
        ({"MAX_IMAGE_BYTES": "many"}, "MAX_IMAGE_BYTES is 'many'; set it to"),
        ({"AWS_DEFAULT_REGION": ""}, "AWS_REGION is not set"),
        ({"AWS_ENDPOINT_URL_S3VECTORS": "x"}, "set it to a URL"),
    ],
)
def test_a_wrong_setting_is_one_line(
    function: Function, tiny_bundle: Path, changed: dict[str, str], message: str
) -> None:
    assert message in one_line(run(IMPORT, **function.settings(tiny_bundle) | changed))


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"name": "x", "fingerprint": "0", "embedding_dim": 3}'])
def test_a_damaged_bundle_is_one_line(function: Function, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.json").write_bytes(content)
    assert "bake the bundle again" in one_line(run(IMPORT, **function.settings(tmp_path)))


HTTP = {"API_ACCESS": "iam", "UPLOADS_BUCKET": "uploads"}


def http(method: str, path: str, query: str = "") -> dict[str, Any]:
    return http_event(method, path, query, {"accept": "application/json"})


def test_an_http_request_needs_no_model_unless_its_route_does(function: Function, tiny_bundle: Path) -> None:
    function.fill(tiny_bundle)
    function.aws.operator.s3.put_object(Bucket="uploads", Key="0.jpg", Body=encoded(picture()))
    source = quote(SOURCES[0])
    packages = {
        "/health": {"handler", "orjson"},
        "/": {"handler", "orjson"},
        "/openapi.json": {"handler", "orjson"},
        "/items": {"handler", "orjson"},
        "/images": {"handler", "orjson"},
        "/thumbnails": {"PIL", "handler", "numpy", "orjson"},
    }
    for path, expected in packages.items():
        query = f"source={source}" if path in {"/images", "/thumbnails"} else ""
        asked = function.ask(tiny_bundle, http("GET", path, query), **HTTP)
        assert (path, asked.answer["statusCode"], asked.packages) == (path, 200, expected)
        assert (asked.log["request_id"], asked.log["status"]) == ("request-1", 200)


def test_a_direct_request_imports_nothing_of_http(function: Function, tiny_bundle: Path) -> None:
    done = run(
        "import sys, handler.api.app; print([n for n in sys.modules if n.startswith('handler.api.http.')])",
        **function.settings(tiny_bundle) | HTTP,
    )
    assert done.stdout.strip() == "[]"


def test_http_is_refused_where_it_is_off(function: Function, tiny_bundle: Path) -> None:
    asked = function.ask(tiny_bundle, http("GET", "/health"))
    assert (asked.answer["statusCode"], json.loads(asked.answer["body"])["error_code"]) == (403, "api_off")
