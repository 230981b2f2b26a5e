"""Items, keys and conditions, without AWS."""

import subprocess
import sys
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import orjson
import pytest

from handler.aws.clients import Clients
from handler.aws.sdk.errors import ServiceError
from handler.errors import RejectedError, Rejection
from handler.jobs import Job
from handler.model.labels import Label
from handler.results.item import StoredItem, read_item, says_the_same, text_of
from handler.results.keys import MAX_KEY_BYTES, result_key, result_prefixes
from handler.results.protocol import choose_condition, is_current
from handler.results.record import (
    ImageEmbedding,
    Record,
    item_of,
    result_facts,
    result_json,
    result_name,
    tombstone_of,
)
from handler.results.sequencing import BySequencer, CompareAndSwap, WriteCondition, expression_of, is_superseded
from handler.results.store import Store
from handler.settings import read_settings
from handler.timing import Deadline
from tests.support.item_conditions import CASES, ITEM, changed
from tests.support.memory_aws import MemoryDynamoDB, MemoryS3, is_met

NOW = datetime(2026, 11, 29, 12, 30, 15, 250, tzinfo=UTC)
VECTOR = np.array([0.5, -0.25, 1e-5], dtype=np.float32)
EMBEDDING = ImageEmbedding(
    VECTOR,
    normalized=True,
    width=64,
    height=48,
    format="png",
    labels=(Label("cat", 0.5), Label("dog", -0.25)),
    norm=2.5,
)
RECORD = Record(
    bucket="uploads",
    key="a b.png",
    etag="e" * 32,
    version_id="v1",
    size=1234,
    model="tiny",
    fingerprint="0123456789abcdef",
    outcome=EMBEDDING,
    timings_ms={"total": 1.5},
    event_id="r-1",
)
REJECTED = replace(RECORD, outcome=RejectedError(Rejection.CORRUPT_IMAGE, "damaged"))


def store_of(s3: MemoryS3, item: Any = None) -> Store:
    dynamodb = MemoryDynamoDB({} if item is None else {RECORD.source: item})
    clients = Clients(s3=cast("Any", s3), dynamodb=cast("Any", dynamodb))
    return Store(clients, read_settings({"RESULTS_BUCKET": "results", "TABLE_NAME": "vectors"}))


def wire(record: Record = RECORD, sequencer: str | None = "01") -> Any:
    return item_of(record, sequencer, "s3://results/x.json", "float16", NOW)


def test_an_embedding_as_an_item() -> None:
    label = [{"M": {"label": {"S": name}, "score": {"N": score}}} for name, score in [("cat", "0.5"), ("dog", "-0.25")]]
    assert wire() == {
        "source": {"S": "s3://uploads/a b.png"},
        "status": {"S": "success"},
        "sequencer": {"S": "01"},
        "etag": {"S": "e" * 32},
        "version_id": {"S": "v1"},
        "model": {"S": "tiny"},
        "fingerprint": {"S": "0123456789abcdef"},
        "embedding": {"B": VECTOR.astype("<f2").tobytes()},
        "embedding_dtype": {"S": "float16"},
        "embedding_dim": {"N": "3"},
        "normalized": {"BOOL": True},
        "norm": {"N": "2.5"},
        "width": {"N": "64"},
        "height": {"N": "48"},
        "bytes": {"N": "1234"},
        "format": {"S": "png"},
        "labels": {"L": label},
        "result": {"S": "s3://results/x.json"},
        "event_id": {"S": "r-1"},
        "updated_at": {"S": "2026-11-29T12:30:15.000250Z"},
    }


def test_a_rejection_as_an_item() -> None:
    item = wire(replace(REJECTED, size=None, version_id=None, event_id=None), None)
    assert item == {
        "source": {"S": "s3://uploads/a b.png"},
        "status": {"S": "error"},
        "etag": {"S": "e" * 32},
        "model": {"S": "tiny"},
        "fingerprint": {"S": "0123456789abcdef"},
        "error_code": {"S": "corrupt_image"},
        "error": {"S": "damaged"},
        "result": {"S": "s3://results/x.json"},
        "updated_at": {"S": "2026-11-29T12:30:15.000250Z"},
    }


def test_a_tombstone() -> None:
    assert tombstone_of("s3://uploads/a", "02", "r-2", NOW) == {
        "source": {"S": "s3://uploads/a"},
        "status": {"S": "deleted"},
        "sequencer": {"S": "02"},
        "event_id": {"S": "r-2"},
        "updated_at": {"S": "2026-11-29T12:30:15.000250Z"},
        "expires_at": {"N": str(1795955415 + 30 * 24 * 3600)},
    }
    assert read_item(tombstone_of("s3://uploads/a", None, None, NOW)).is_tombstone
    assert not read_item(wire()).is_tombstone
    assert [read_item(each).is_success for each in (wire(), wire(REJECTED))] == [True, False]


def test_an_item_is_read_as_it_was_written() -> None:
    assert read_item(wire()) == StoredItem(
        source="s3://uploads/a b.png",
        status="success",
        sequencer="01",
        etag="e" * 32,
        version_id="v1",
        fingerprint="0123456789abcdef",
        error_code=None,
        result="s3://results/x.json",
        embedding=VECTOR.astype("<f2").tobytes(),
        embedding_dtype="float16",
        embedding_dim=3,
        normalized=True,
        norm=2.5,
        labels=(("cat", 0.5), ("dog", -0.25)),
        width=64,
        height=48,
        size=1234,
        format="png",
        updated_at="2026-11-29T12:30:15.000250Z",
    )
    assert read_item(wire(REJECTED)).error_code == "corrupt_image"
    assert read_item({}) == StoredItem()
    assert read_item({"touched_at": {"S": "x"}, "etag": {"N": "1"}}) == StoredItem()
    assert (text_of({"etag": {"S": "e"}}, "etag"), text_of(None, "etag"), text_of({}, "etag")) == ("e", None, None)


CONTENT = {"etag", "version_id", "fingerprint", "error_code", "embedding_dtype", "normalized", "labels"}


@pytest.mark.parametrize("name", [field.name for field in fields(StoredItem)])
def test_items_say_the_same_if_their_content_is_the_same(name: str) -> None:
    other = changed(ITEM, name)
    assert says_the_same(ITEM, other) is (name not in CONTENT)


CONDITIONS: list[WriteCondition] = [BySequencer("01"), CompareAndSwap(ITEM, "01"), CompareAndSwap(ITEM)]


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
@pytest.mark.parametrize("name", [field.name for field in fields(StoredItem)])
def test_an_item_is_current_if_it_says_what_would_be_written(name: str, condition: WriteCondition) -> None:
    other = changed(ITEM, name)
    repeat = condition.event is not None and name == "error_code"
    assert is_current(ITEM, other, condition) is (repeat or name not in {*CONTENT, "sequencer"})
    assert is_current(ITEM, ITEM, condition)


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
def test_an_archived_object_keeps_its_vector(condition: WriteCondition) -> None:
    archived = replace(ITEM, error_code="archived_object", normalized=None, version_id=None, labels=None)
    assert is_current(ITEM, archived, condition)
    assert not is_current(ITEM, replace(archived, sequencer="02"), condition)
    assert is_current(archived, ITEM, condition) is (condition.event is not None)


def test_a_condition_keeps_the_newest_sequencer() -> None:
    assert BySequencer("05").sequencer == "05"
    assert [CompareAndSwap(None, event).sequencer for event in (None, "03")] == [None, "03"]
    assert [CompareAndSwap(ITEM, event).sequencer for event in (None, "00", "03")] == ["01", "01", "03"]
    assert CompareAndSwap(replace(ITEM, sequencer=None), "03").sequencer == "03"


@pytest.mark.parametrize(
    ("sequencer", "contended", "item", "condition"),
    [
        ("5", False, "6", BySequencer("5".ljust(32, "0"))),
        ("5", True, "6", "seen"),
        ("5", True, "5", "seen"),
        ("5", True, "4", "seen"),
        ("5", True, None, "seen"),
        (None, False, "6", "seen"),
        (None, True, None, "seen"),
    ],
)
def test_work_compares_and_swaps_where_no_sequencer_decides(
    sequencer: str | None, contended: bool, item: str | None, condition: WriteCondition | str
) -> None:
    stored = wire(RECORD, None if item is None else item.ljust(32, "0"))
    job = Job(RECORD.bucket, RECORD.key, sequencer)
    chosen = choose_condition(store_of(MemoryS3(), stored), job, Deadline(30), contended=contended)
    if condition == "seen":
        condition = CompareAndSwap(read_item(stored), sequencer and sequencer.ljust(32, "0"))
    assert chosen == condition


def test_only_a_newer_event_supersedes() -> None:
    items = [replace(ITEM, sequencer=sequencer) for sequencer in (None, "04", "05", "06")]
    assert [is_superseded(BySequencer("05"), item) for item in items] == [False, False, False, True]
    assert not any(is_superseded(CompareAndSwap(None, "05"), item) for item in items)


@pytest.mark.parametrize(("condition", "item", "met"), CASES)
def test_a_condition_is_met(condition: WriteCondition, item: dict[str, Any], met: bool) -> None:
    expression = expression_of(condition)
    request = {
        "ExpressionAttributeNames": expression.names,
        "ExpressionAttributeValues": expression.values,
    }
    assert is_met(expression.text, request, item) is met


def test_the_json_of_a_success_and_of_a_rejection() -> None:
    entry = {
        "file_path": "s3://uploads/a b.png",
        "source": "s3://uploads/a b.png",
        "etag": "e" * 32,
        "version_id": "v1",
        "model": "tiny",
        "fingerprint": "0123456789abcdef",
        "bytes": 1234,
        "event_id": "r-1",
        "timings_ms": {"total": 1.5},
    }
    assert orjson.loads(result_json(RECORD)) == entry | {
        "status": "success",
        "error": None,
        "error_code": None,
        "embedding": {"embedding": [0.5, -0.25, 1e-5], "embedding_dim": 3, "normalized": True},
        "labels": [{"label": "cat", "score": 0.5}, {"label": "dog", "score": -0.25}],
        "width": 64,
        "height": 48,
        "format": "png",
    }
    assert orjson.loads(result_json(REJECTED)) == entry | {
        "status": "error",
        "error": "damaged",
        "error_code": "corrupt_image",
        "embedding": None,
        "width": None,
        "height": None,
        "format": None,
    }


def test_facts_of_a_json_differ_where_its_item_would() -> None:
    others = [
        REJECTED,
        replace(RECORD, outcome=replace(EMBEDDING, normalized=False)),
        replace(RECORD, outcome=replace(EMBEDDING, labels=None)),
        replace(RECORD, outcome=RejectedError(Rejection.EMPTY_OBJECT, "empty")),
    ]
    facts = [result_facts(result_json(record)) for record in [RECORD, *others]]
    assert facts == [read_item(wire(record)).result_facts for record in [RECORD, *others]]
    assert len(set(facts)) == 5
    assert facts[0] == result_facts(result_json(replace(RECORD, timings_ms={}, event_id="another")))
    bad_labels = b'{"error_code": null, "embedding": null, "labels": [3]}'
    for body in (b"", b"[]", b"{}", b"3", b'{"error_code": null, "embedding": 3}', bad_labels):
        assert result_facts(body) is None


def test_a_result_is_named_by_version_else_etag_and_the_model() -> None:
    names = [RECORD, replace(RECORD, version_id=None), replace(RECORD, version_id=None, etag=None)]
    assert [result_name(record) for record in names] == [
        "v1-01234567.json",
        f"{'e' * 32}-01234567.json",
        "unknown-01234567.json",
    ]


@pytest.mark.parametrize("length", [1, 850, 870, 880, 889, 890, 1000, 1024])
@pytest.mark.parametrize("character", ["k", "é"])
def test_every_result_of_a_key_is_under_one_of_its_prefixes(length: int, character: str) -> None:
    key = (character * 1024).encode()[:length].decode(errors="ignore") or "k"
    prefixes = result_prefixes("v1/", "uploads", key)
    for name in ("n" * 4, "n" * 128):
        full = result_key("v1/", "uploads", key, name)
        assert len(full.encode()) <= MAX_KEY_BYTES
        assert full.removesuffix(name) in prefixes
    if len(f"v1/uploads/{key}/".encode()) + 128 <= MAX_KEY_BYTES:
        assert prefixes == [f"v1/uploads/{key}/"]


@pytest.mark.parametrize(("length", "prefixes"), [(895, 1), (896, 1), (897, 2), (1023, 2), (1024, 1), (1025, 1)])
def test_a_key_has_two_prefixes_only_where_the_name_decides(length: int, prefixes: int) -> None:
    key = "k" * (length - len("uploads//"))
    found = result_prefixes("", "uploads", key)
    assert len(found) == prefixes
    assert (found[0] == f"uploads/{key}/") is (length < 1024)


def test_a_key_is_cut_only_where_it_must_be() -> None:
    assert MAX_KEY_BYTES == 1024
    key = "k" * (MAX_KEY_BYTES - len("uploads//name"))
    assert result_key("", "uploads", key, "name") == f"uploads/{key}/name"
    cut = result_key("", "uploads", f"{key}k", "name")
    assert len(cut) == MAX_KEY_BYTES - 128 + len("name")
    assert cut != result_key("", "uploads", f"{key}l", "name")


def test_items_are_read_without_any_package() -> None:
    code = "import sys, handler.results.item, handler.results.keys, handler.results.sequencing\n"
    code += "print({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'__main__'})"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'handler'}"


@pytest.mark.parametrize(
    ("item", "settled"),
    [(wire(), True), (wire(sequencer="02"), True), (wire(REJECTED), False), (None, False)],
    ids=["the same", "a newer event", "another outcome", "no item"],
)
@pytest.mark.parametrize("before", [None, result_json(REJECTED), b"not a result"])
def test_a_json_that_had_to_be_written_is_settled_if_the_item_still_says_the_same(
    item: Any, settled: bool, before: bytes | None
) -> None:
    s3 = MemoryS3()
    key = f"uploads/a b.png/{result_name(RECORD)}"
    if before is not None:
        s3.put("results", key, before, archived=False)
    store = store_of(s3, item)
    committed = replace(read_item(wire()), result=f"s3://results/{key}")
    assert store.settle_result(RECORD, committed, Deadline(30)) is settled
    assert s3.get_object("results", key).data == result_json(RECORD)
    assert store.settle_result(replace(RECORD, timings_ms={}), committed, Deadline(30))
    assert s3.get_object("results", key).data == result_json(RECORD), "not written again"


@pytest.mark.parametrize(
    ("body", "matches"),
    [(result_json(RECORD), True), (result_json(REJECTED), False), (b"not a result", False), (None, False)],
    ids=["the same", "another outcome", "no result", "no JSON"],
)
def test_the_json_that_an_item_names_matches_it(body: bytes | None, matches: bool) -> None:
    s3 = MemoryS3()
    if body is not None:
        s3.put("results", "x.json", body, archived=False)
    s3.put("results", f"uploads/a b.png/{result_name(RECORD)}", result_json(REJECTED), archived=False)
    assert store_of(s3).result_matches(read_item(wire()), Deadline(30)) is matches


def test_a_json_is_written_once() -> None:
    store = store_of(MemoryS3())
    assert store.write_result(RECORD, Deadline(30))
    assert not store.write_result(replace(RECORD, timings_ms={}), Deadline(30))


@pytest.mark.parametrize("code", ["PreconditionFailed", "412"])
def test_a_json_that_is_there_is_not_an_error_with_or_without_a_body_of_the_answer(code: str) -> None:
    class Refusing(MemoryS3):
        def put_object(self, *_: object, **__: object) -> None:
            raise ServiceError("PutObject", 412, code, "", {})

    assert not store_of(Refusing()).write_result(RECORD, Deadline(30))


@pytest.mark.parametrize(("named", "clean"), [(result_name(RECORD), False), ("another.json", True), (None, True)])
def test_a_deleted_json_must_not_be_named(named: str | None, clean: bool) -> None:
    s3 = MemoryS3()
    item = None if named is None else item_of(RECORD, "01", f"s3://results/uploads/a b.png/{named}", "float32", NOW)
    for delete in ("one", "all"):
        for name in ("uploads/a b.png/", "uploads/a b.png/deeper/", "uploads/a b.png2/"):
            s3.put("results", f"{name}{result_name(RECORD)}", b"", archived=False)
        store = store_of(s3, item)
        if delete == "one":
            assert store.delete_result(RECORD, Deadline(30)) is clean
        else:
            assert store.delete_results("uploads", "a b.png", Deadline(30)) is clean
        left = [each.key for each in s3.list_objects("results", "").entries]
        assert left == [f"uploads/a b.png/deeper/{result_name(RECORD)}", f"uploads/a b.png2/{result_name(RECORD)}"]


def test_all_pages_of_results_are_deleted() -> None:
    s3 = MemoryS3(page=2)
    for number in range(5):
        s3.put("results", f"uploads/a b.png/{number}.json", b"", archived=False)
    assert store_of(s3).delete_results("uploads", "a b.png", Deadline(30))
    assert not s3.list_objects("results", "").entries
