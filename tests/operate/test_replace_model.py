"""Replacing the model as docs/search.md says, with the real indexer, search and commands; uploads go on meanwhile."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handler.api.items import ItemReader
from handler.api.query import parse_request
from handler.api.search import Search
from handler.api.towers import Limits, Towers
from handler.errors import NotIndexedError
from handler.model.identity import ModelIdentity
from handler.results.item import read_item
from handler.timing import Deadline
from infra.common.errors import OperatorError
from infra.operate.function import FunctionModel
from infra.operate.search import drop as dropping
from infra.operate.search import verify as verifying
from infra.operate.search.drop import drop
from infra.operate.search.status import Models
from infra.operate.search.verify import VerifyOptions, verify
from tests.support.indexed_stack import DIM, NEW_MODEL, OLD_MODEL, TABLE_NAME, Indexing, indexed_stack


@pytest.fixture
def indexing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Indexing]:
    monkeypatch.setattr(verifying, "PAUSES_SECONDS", (0.0, 0.0))
    with indexed_stack(monkeypatch) as made:
        yield made


class Stack:
    """The two functions' models, and searches."""

    def __init__(self, indexing: Indexing, monkeypatch: pytest.MonkeyPatch) -> None:
        self.indexing = indexing
        self.searching = self.embedding = OLD_MODEL
        monkeypatch.setattr(dropping, "fetch_models", lambda _: self.models)

    @property
    def models(self) -> Models:
        return Models(FunctionModel("searching", self.searching), FunctionModel("embedding", self.embedding))

    def upload(self, key: str, *, seed: int) -> str:
        source = self.indexing.upload(key, self.embedding, seed=seed)
        self.indexing.deliver()
        return source

    def found(self, source: str) -> set[str]:
        """All images that a search for a stored one finds, with itself."""
        identity = ModelIdentity("a model", self.searching, DIM, has_text_tower=False)
        towers = Towers(Path("no bundle"), identity, Limits(1, 1))  # a source needs none
        items: Any = _Reader(self.indexing)
        request = parse_request({"query": {"source": source}, "k": 1000})
        answer = Search(self.indexing.writer.s3vectors, items, towers).answer(request, Deadline(60))
        return {source, *(hit["source"] for hit in answer["hits"])}

    def reembed(self, sources: set[str]) -> None:
        """What `backfill --reembed` makes of images that another model has embedded."""
        for source in sorted(sources):
            wire = self.indexing.item(source)
            assert wire is not None
            item = read_item(wire)
            if item.fingerprint != self.embedding:
                key = source.removeprefix("s3://").partition("/")[2]
                self.indexing.put_item(key, self.embedding, item.etag or "", seed=3)
        self.indexing.deliver()


class _Reader(ItemReader):
    """Reads the table through boto3, in which moto answers."""

    def __init__(self, indexing: Indexing) -> None:
        object.__setattr__(self, "dynamodb", indexing.stack.dynamodb)
        object.__setattr__(self, "table", TABLE_NAME)


def test_the_recipe(indexing: Indexing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stack = Stack(indexing, monkeypatch)
    old = {stack.upload(f"{number}.jpg", seed=1) for number in range(12)}
    first = "s3://pictures/0.jpg"
    assert stack.found(first) == old

    stack.embedding = NEW_MODEL  # deploy --image NEW --set ApiImageUri=OLD
    added = stack.upload("added.jpg", seed=2)
    overwritten = stack.upload("1.jpg", seed=2)
    assert stack.found(first) == old - {overwritten}  # never a new picture under an old vector
    with pytest.raises(NotIndexedError):
        stack.found(added)
    with pytest.raises(OperatorError, match="used by search"):
        drop(indexing.stack, OLD_MODEL, force=False)

    stack.reembed(old)  # backfill --reembed
    assert stack.found(first) == old - {overwritten}  # the old index keeps its vectors
    verify(indexing.stack, VerifyOptions(as_json=True))
    assert json.loads(capsys.readouterr().out)["differences"] == []

    stack.searching = NEW_MODEL  # deploy --set ApiImageUri=NEW
    assert stack.found(first) == old | {added}
    drop(indexing.stack, OLD_MODEL[:8], force=False)
    assert [index.fingerprint for index in indexing.indexes.find_all()] == [NEW_MODEL[:32]]
    capsys.readouterr()
    verify(indexing.stack, VerifyOptions(as_json=True))
    assert json.loads(capsys.readouterr().out)["counts"] == {}
