"""`search` and `duplicates` on a stack: what is sent to the function, and what becomes of its answers."""

import base64
import io
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import orjson
import pytest
from PIL import Image

from infra.common.duplicates_report import DuplicatesOptions
from infra.common.errors import OperatorError, UsageError
from infra.common.search_query import MAX_FILE_BYTES, QueryOptions, request_body
from infra.operate.search.api import search_model
from infra.operate.search.duplicates import duplicates_of_stack
from infra.operate.search.query import search_stack
from infra.operate.stack import API, DeployedStack, StackRef
from tests.operate.conftest import put_vector
from tests.support.pictures import encoded, picture

HIT = {
    "source": "s3://pictures/a.png",
    "score": 0.5,
    "labels": [{"label": "cat", "score": 0.9}],
    "width": 8,
    "height": 6,
    "format": "png",
    "updated_at": None,
    "result": None,
    "duplicates": 2,
}
ANSWER = {"status": "ok", "model": "m", "fingerprint": "f" * 64, "hits": [HIT], "next": "token"}


class Function:
    """Answers invocations, and remembers the requests."""

    def __init__(self, answer: object, error: str | None = None) -> None:
        self.answer, self.error = answer, error
        self.requests: list[Any] = []

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - boto3's names
        assert FunctionName == "api"
        self.requests.append(orjson.loads(Payload))
        body = {"Payload": io.BytesIO(orjson.dumps(self.answer))}
        return body if self.error is None else {**body, "FunctionError": self.error}


def stack_of(function: Function, outputs: dict[str, str] | None = None) -> DeployedStack:
    session = boto3.Session("test", "test", region_name="us-east-1")
    stack = DeployedStack(StackRef(), session, None, {API: "api"} if outputs is None else outputs)
    vars(stack)["lambda_"] = function
    return stack


def unread(source: str) -> bytes:
    raise OperatorError(f"{source} is not to be read")


def search(function: Function, query: QueryOptions, *, as_json: bool = False) -> dict[str, Any]:
    return search_stack(stack_of(function), query, None, unread, as_json=as_json)


def test_the_request_and_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = encoded(picture(8, 6))
    (tmp_path / "a.png").write_bytes(data)
    function = Function(ANSWER)
    options = QueryOptions(
        query=str(tmp_path / "a.png"),
        minus=("a red shoe", "s3://b/k"),
        k=3,
        filter='{"format": "png"}',
        min_score=-0.5,
        dedupe=0.9,
        next="token",
    )
    assert search(function, options) == ANSWER
    assert function.requests == [
        {
            "query": [
                {"image": base64.b64encode(data).decode()},
                {"text": "a red shoe", "weight": -0.5},
                {"source": "s3://b/k", "weight": -0.5},
            ],
            "k": 3,
            "filter": {"format": "png"},
            "min_score": -0.5,
            "dedupe": 0.9,
            "next": "token",
        }
    ]
    said = capsys.readouterr()
    assert [word for word in said.out.split() if word in {"0.5000", HIT["source"], "cat", "8x6", "+2"}] == [
        "0.5000",
        HIT["source"],
        "cat",
        "8x6",
        "+2",
    ]
    assert "--next token" in said.err


def test_a_word_s_hits_show_the_label_s_score(capsys: pytest.CaptureFixture[str]) -> None:
    search(Function({**ANSWER, "hits": [{**HIT, "label_score": 0.75}], "next": None}), QueryOptions("cat"))
    said = capsys.readouterr()
    assert "0.7500" in said.out
    assert said.err == ""
    search(Function({**ANSWER, "hits": []}), QueryOptions("cat"))
    assert capsys.readouterr().out == "Nothing was found.\n"
    search(Function(ANSWER), QueryOptions("cat"), as_json=True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (Function({"status": "error", "error": "no such\nword", "error_code": "unknown_word"}), r"no such word \(unk"),
        (Function({"errorMessage": "it timed out"}, "Unhandled"), "the function api failed: it timed out"),
        (Function(None), "the function api failed: None"),
    ],
)
def test_errors_are_one_line(function: Function, message: str) -> None:
    with pytest.raises(OperatorError, match=message) as raised:
        search(function, QueryOptions("cat"))
    assert "\n" not in str(raised.value)


def test_without_search(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OperatorError, match="search_off"):
        search_stack(stack_of(Function(ANSWER), {}), QueryOptions("cat"), None, unread, as_json=False)
    with pytest.raises(UsageError, match="k is 0"):
        search(Function(ANSWER), QueryOptions("cat", k=0))


def test_the_model_of_searches() -> None:
    function = Function({"status": "ok", "model": "m", "fingerprint": "f"})
    assert search_model(stack_of(function)).fingerprint == "f"
    assert function.requests == [{"check": True}]


def test_a_large_file_is_shrunk_to_what_a_request_takes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1800, 2400, 3), dtype=np.uint8)
    path = tmp_path / "large.png"
    Image.fromarray(noise).save(path)
    assert path.stat().st_size > MAX_FILE_BYTES
    (term,) = request_body(QueryOptions(str(path)))["query"]
    data = base64.b64decode(term["image"])
    assert len(data) < MAX_FILE_BYTES
    assert Image.open(io.BytesIO(data)).size == (2048, 1536)
    path.write_bytes(bytes(MAX_FILE_BYTES + 1))
    with pytest.raises(OperatorError, match="unsupported_format"):
        request_body(QueryOptions(str(path)))


def test_requests_that_are_too_large(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 3_000_000)
    with pytest.raises(OperatorError, match="Lambda takes 6,000,000"):
        search(Function(ANSWER), QueryOptions(str(path), minus=(str(path),)))


def test_duplicates_of_the_table(stack: DeployedStack, capsys: pytest.CaptureFixture[str]) -> None:
    for number, vector in enumerate([[1, 0, 0], [0.999, 0.01, 0], [0, 1, 0], [0, 0, 1]]):
        put_vector(stack, f"s3://pictures/{number}", vector)
    put_vector(stack, "s3://pictures/other", [1, 0, 0], fingerprint="e" * 64)
    found = duplicates_of_stack(stack, "f" * 8, DuplicatesOptions(), unread)
    assert found["vectors"] == 4
    assert [[each["source"] for each in group] for group in found["groups"]] == [["s3://pictures/0", "s3://pictures/1"]]
    assert "1 groups among 4 pictures; 1 could go if one of each group stayed." in capsys.readouterr().out
    with pytest.raises(OperatorError, match="no vectors with the fingerprint ab"):
        duplicates_of_stack(stack, "ab", DuplicatesOptions(), unread)
