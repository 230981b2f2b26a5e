"""The commands of search against a deployed stack, as a user runs them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.cli.main import main
from infra.common.local_stack import Stack
from infra.local.server import local_aws
from infra.local.stack import deploy
from infra.operate.search import verify as verifying
from tests.end_to_end.test_search import embed, indexed, own_index
from tests.support.bundles import add_canonical_vector, write_tiny_bundle

KEYS = [f"2019/{number} é+.png" for number in range(4)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("search")
    with local_aws(folder / "aws.log") as aws:
        made = deploy(aws, add_canonical_vector(write_tiny_bundle(folder / "tiny")))
        for number, key in enumerate(KEYS):
            embed(made, key, number)
        yield made


@pytest.fixture(autouse=True)
def running(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What --local finds."""
    file = tmp_path / "stack.json"
    file.write_text(stack.to_json(), encoding="utf-8")
    monkeypatch.setattr("infra.common.local_stack.STACK_FILE", file)
    monkeypatch.setattr("infra.operate.search.rebuild.FOLDER", tmp_path / "rebuild")
    monkeypatch.setattr(verifying, "PAUSES_SECONDS", (0.0, 1.0, 2.0))


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert main([*arguments, "--local", "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_search_and_its_page(stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = stack.source(KEYS[0])
    answer = run(capsys, "search", source, "-k", "2", "--filter", '{"key": {"$startsWith": "2019/"}}')
    assert len(answer["hits"]) == 2
    assert source not in {hit["source"] for hit in answer["hits"]}
    page = tmp_path / "hits.html"
    assert main(["search", source, "--local", "--html", str(page)]) == 0
    assert page.read_text("utf-8").count("data:image/jpeg;base64,") == 3
    capsys.readouterr()
    assert main(["search", stack.source("none"), "--local"]) == 1
    assert capsys.readouterr().err.endswith("(not_found)\n")
    assert main(["search", "words", "--local"]) == 1
    assert capsys.readouterr().err.endswith("(no_text_tower)\n")


def test_status_verify_and_rebuild(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    (index,) = run(capsys, "index", "status")["indexes"]
    assert (index["vectors"], index["used_by"]) == (4, ["search", "uploads"])
    assert run(capsys, "index", "verify")["differences"] == []
    capsys.readouterr()
    assert main(["index", "drop", index["fingerprint"], "--local"]) == 1
    assert "used by search and uploads" in capsys.readouterr().err
    stack.s3vectors.delete_index(vectorBucketName=stack.vector_bucket, indexName=index["index"])
    found = run(capsys, "index", "verify", code=1)
    assert found["counts"] == {"missing_vector": 4}
    assert run(capsys, "index", "rebuild") == {"touched": 4, "vectors_without_item": 0}
    assert run(capsys, "index", "verify")["counts"] == {}


def test_forget(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    key = "2019/forget me.png"
    embed(stack, key, 9)
    index = own_index(stack, key)
    done = run(capsys, "forget", stack.source(key))
    assert (done["versions"], done["results"], done["indexes"]) == (1, 1, [index])
    assert indexed(stack, index, stack.source(key)) is None
    assert "Contents" not in stack.s3.list_objects_v2(Bucket=stack.uploads_bucket, Prefix=key)
    assert "Contents" not in stack.s3.list_objects_v2(
        Bucket=stack.results_bucket, Prefix=f"{stack.uploads_bucket}/{key}/"
    )
    assert main(["forget", stack.source("none"), "--local"]) == 1
