"""Plans applied to the stand-in: calls, limits, refusals, and failures in the middle."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from handler.errors import AccessDeniedError, RetryableError
from handler.index.names import index_name, vector_key
from handler.index.plan import Plan, plan_of
from handler.index.stream import Change
from handler.index.writer import Applied, IndexWriter, RefusedVector
from handler.timing import Deadline
from infra.local.s3vectors.errors import (
    AccessDeniedError as Denied,
)
from infra.local.s3vectors.errors import (
    ConflictError,
    NotFoundError,
    TooManyRequestsError,
    ValidationError,
)
from tests.support.stored_items import FINGERPRINT, OTHER_FINGERPRINT, Made, item_of
from tests.support.vector_indexes import Indexes, failing, size_of

OWN, OTHER = index_name(FINGERPRINT), index_name(OTHER_FINGERPRINT)
A, B = Made("s3://uploads/a"), Made("s3://uploads/b", vector=(0, 1, 0))
ZERO = "cosine distance does not support vectors with zero norm"


@pytest.fixture
def indexes(monkeypatch: pytest.MonkeyPatch) -> Indexes:
    monkeypatch.setattr("handler.aws.retries.FIRST_BACKOFF_SECONDS", 0)
    return Indexes()


def plan(*changes: tuple[Made | None, Made | None], touched: bool = False) -> Plan:
    return plan_of(
        Change((new or old or A).source, item_of(old), item_of(new), touched=touched) for old, new in changes
    )


def apply(indexes: Indexes, wanted: Plan) -> Applied:
    indexes.calls.clear()
    return IndexWriter(indexes.client).apply(wanted, Deadline(60))


def keys(*made: Made) -> set[str]:
    return {vector_key(one.source) for one in made}


def test_the_first_vector_of_a_fingerprint_makes_its_index(indexes: Indexes) -> None:
    assert apply(indexes, plan((None, A), (None, B))) == Applied(2, 0, ())
    assert indexes.operations() == ["ListIndexes", "PutVectors", "CreateIndex", "PutVectors"]
    index = indexes.operate("GetIndex", indexName=OWN)["index"]
    assert (index["dimension"], index["distanceMetric"], index["dataType"]) == (3, "cosine", "float32")
    names = ["source", "result", "etag", "label_scores"]
    assert index["metadataConfiguration"] == {"nonFilterableMetadataKeys": names}
    found = indexes.vectors(OWN)
    assert found.keys() == keys(A, B)
    assert np.array_equal(found[vector_key(B.source)]["data"], [0, 1, 0])
    assert found[vector_key(B.source)]["metadata"]["source"] == B.source


def test_another_batch_may_make_the_index_at_the_same_time(indexes: Indexes) -> None:
    def before(operation: str, members: Mapping[str, Any]) -> None:
        if operation == "CreateIndex":
            indexes.before = lambda _operation, _members: None
            indexes.operate("CreateIndex", **members)
            raise ConflictError("An index with the specified name already exists")

    indexes.before = before
    assert apply(indexes, plan((None, A))).put == 1
    assert indexes.vectors(OWN).keys() == keys(A)


def test_two_fingerprints_go_into_two_indexes_and_a_new_picture_leaves_the_old_one(indexes: Indexes) -> None:
    old = Made(A.source, etag="old", fingerprint=OTHER_FINGERPRINT, vector=(1, 1))
    apply(indexes, plan((None, old), (None, Made("s3://uploads/c", fingerprint=OTHER_FINGERPRINT, vector=(1, 1)))))
    apply(indexes, plan((old, A)))
    assert indexes.operations() == ["ListIndexes", "DeleteVectors", "PutVectors", "CreateIndex", "PutVectors"]
    assert indexes.vectors(OTHER).keys() == keys(Made("s3://uploads/c"))
    assert indexes.vectors(OWN).keys() == keys(A)


def test_the_same_picture_of_another_model_needs_one_call_and_stays(indexes: Indexes) -> None:
    old = Made(A.source, fingerprint=OTHER_FINGERPRINT, vector=(1, 1))
    apply(indexes, plan((None, old), (None, B)))
    apply(indexes, plan((old, A)))
    assert indexes.operations() == ["PutVectors"]
    assert indexes.vectors(OTHER).keys() == keys(A)


def test_touched_items_leave_indexes_that_have_other_pictures_of_them(indexes: Indexes) -> None:
    sources = [f"s3://uploads/{number}" for number in range(250)]
    old = [Made(source, etag=f"e{number % 2}", fingerprint=OTHER_FINGERPRINT) for number, source in enumerate(sources)]
    new = [Made(source, etag="e1") for source in sources]
    apply(indexes, plan(*((None, one) for one in old), (None, A)))
    apply(indexes, plan(*((one, one) for one in new), touched=True))
    assert indexes.operations() == ["ListIndexes", *["GetVectors"] * 3, "DeleteVectors", "PutVectors"]
    assert indexes.vectors(OTHER).keys() == {vector_key(source) for source in sources[1::2]}
    assert indexes.vectors(OWN).keys() == keys(A, *new)


def test_a_vector_of_unknown_origin_is_left_where_it_is(indexes: Indexes) -> None:
    indexes.operate("CreateIndex", indexName=OTHER, dataType="float32", dimension=1, distanceMetric="cosine")
    vector = {"key": vector_key(A.source), "data": {"float32": [1.0]}}
    indexes.operate("PutVectors", indexName=OTHER, vectors=[vector])
    apply(indexes, plan((A, A), touched=True))
    assert indexes.vectors(OTHER).keys() == keys(A)


@pytest.mark.parametrize("new", [None, Made(A.source, status="error"), Made(A.source, status="deleted")])
def test_without_a_vector_the_key_leaves_every_index(indexes: Indexes, new: Made | None) -> None:
    apply(indexes, plan((None, A), (None, B)))
    indexes.operate("CreateIndex", indexName=OTHER, dataType="float32", dimension=1, distanceMetric="cosine")
    indexes.operate("CreateIndex", indexName="another-s", dataType="float32", dimension=1, distanceMetric="cosine")
    vector = {"key": vector_key(A.source), "data": {"float32": [1.0]}}
    for name in (OTHER, "another-s"):
        indexes.operate("PutVectors", indexName=name, vectors=[vector])
    assert apply(indexes, plan((A, new))) == Applied(0, 1, ())
    assert indexes.operations() == ["ListIndexes", "DeleteVectors", "DeleteVectors"]
    assert (set(indexes.vectors(OWN)), set(indexes.vectors(OTHER))) == (keys(B), set())
    assert indexes.vectors("another-s").keys() == keys(A)  # not an index of dropvec


def test_calls_are_as_few_as_the_limits_allow(indexes: Indexes) -> None:
    made = [Made(f"s3://uploads/{number}", vector=(1, number)) for number in range(1201)]
    assert apply(indexes, plan(*((None, one) for one in made))).put == 1201
    assert indexes.operations() == ["ListIndexes", "PutVectors", "CreateIndex", *["PutVectors"] * 3]
    assert [len(members["vectors"]) for name, members in indexes.calls if name == "PutVectors"] == [500, 500, 500, 201]
    apply(indexes, plan(*((one, None) for one in made)))
    assert indexes.operations() == ["ListIndexes", *["DeleteVectors"] * 3]
    assert indexes.vectors(OWN) == {}


def test_large_vectors_are_split_by_their_bytes(indexes: Indexes) -> None:
    numbers = np.random.default_rng(0).standard_normal(4096)
    made = [Made(f"s3://uploads/{number}", vector=numbers) for number in range(300)]
    assert apply(indexes, plan(*((None, one) for one in made))).put == 300
    sizes = [size_of(members) for name, members in indexes.calls if name == "PutVectors"]
    assert len(sizes) == 3  # one of them came before the index
    assert max(sizes) <= 20 * 1024 * 1024


def test_refused_vectors_are_left_out_and_their_earlier_ones_deleted(indexes: Indexes) -> None:
    made = [Made(f"s3://uploads/{number}", vector=(1, number)) for number in range(40)]
    apply(indexes, plan(*((None, one) for one in made)))
    bad = {3, 17, 18, 39}
    new = [Made(one.source, etag="e2", vector=(0, 0) if n in bad else (2, n)) for n, one in enumerate(made)]
    applied = apply(indexes, plan(*zip(made, new, strict=True)))
    assert (applied.put, applied.deleted) == (36, 0)
    assert {vector.source for vector in applied.refused} == {made[number].source for number in bad}
    assert all(ZERO in vector.reason for vector in applied.refused)
    found = indexes.vectors(OWN)
    assert found.keys() == keys(*(one for number, one in enumerate(made) if number not in bad))
    assert all(vector["data"][0] == 2 for vector in found.values())
    assert len(indexes.calls) < 40


def test_a_refusal_of_one_index_deletes_nothing_from_another(indexes: Indexes) -> None:
    kept = Made(A.source, fingerprint=OTHER_FINGERPRINT)
    apply(indexes, plan((None, kept)))
    refused = Made(A.source, vector=(0, 0, 0))
    later = Made("s3://uploads/c", fingerprint=OTHER_FINGERPRINT)
    applied = apply(indexes, plan((kept, refused), (None, later)))
    assert applied == Applied(1, 0, (RefusedVector(A.source, applied.refused[0].reason),))
    assert indexes.vectors(OTHER).keys() == keys(A, later)


def test_vectors_that_cannot_be_encoded_are_refused_without_a_call(indexes: Indexes) -> None:
    apply(indexes, plan((None, A)))
    applied = apply(indexes, plan((A, Made(A.source, etag="e2", vector=(np.inf, 1, 1)))))
    assert applied == Applied(0, 0, (RefusedVector(A.source, "it has infinities or not-a-numbers"),))
    assert indexes.operations() == ["ListIndexes", "DeleteVectors"]
    assert indexes.vectors(OWN) == {}


def test_a_vector_that_is_refused_before_there_is_an_index(indexes: Indexes) -> None:
    applied = apply(indexes, plan((None, Made(vector=(0, 0)))))
    assert [ZERO in vector.reason for vector in applied.refused] == [True]
    long = apply(indexes, plan((None, Made(fingerprint="f" * 64, vector=np.ones(4097)))))
    assert [vector.reason for vector in long.refused] == ["it has 4097 numbers; S3 Vectors takes at most 4096"]
    assert "dropvec-" + "f" * 32 not in indexes.names()


def test_an_index_that_cannot_be_made_refuses_its_vectors(indexes: Indexes) -> None:
    indexes.before = failing(ValidationError("no such dimension"), "CreateIndex", times=99)
    applied = apply(indexes, plan((None, A), (None, B)))
    assert {(vector.source, vector.reason) for vector in applied.refused} == {
        (one.source, "S3 Vectors: no such dimension") for one in (A, B)
    }


@pytest.mark.parametrize("operation", ["ListIndexes", "PutVectors", "CreateIndex", "DeleteVectors", "GetVectors"])
def test_throttling_is_waited_out(indexes: Indexes, operation: str) -> None:
    old = Made(B.source, etag="old", fingerprint=OTHER_FINGERPRINT)
    apply(indexes, plan((None, old)))
    wanted = replace(plan((None, A), (old, None)), checks_elsewhere={vector_key(A.source): A.item()})
    indexes.before = failing(TooManyRequestsError("slow down"), operation, times=4)
    assert apply(indexes, wanted).put == 1
    assert indexes.operations().count(operation) >= 5
    assert (set(indexes.vectors(OWN)), set(indexes.vectors(OTHER))) == (keys(A), set())


def test_after_too_much_throttling_the_batch_fails_and_can_be_repeated(indexes: Indexes) -> None:
    wanted = plan((None, A), (None, B))
    indexes.before = failing(TooManyRequestsError("slow down"), "PutVectors", times=5)
    with pytest.raises(RetryableError, match="slow down"):
        apply(indexes, wanted)
    assert apply(indexes, wanted).put == 2
    assert indexes.vectors(OWN).keys() == keys(A, B)


def test_a_missing_permission_fails_the_batch(indexes: Indexes) -> None:
    indexes.before = failing(Denied("not authorized to perform: s3vectors:PutVectors"), "PutVectors")
    with pytest.raises(AccessDeniedError, match="s3vectors:PutVectors"):
        apply(indexes, plan((None, A)))


def test_a_missing_bucket_fails_the_batch(indexes: Indexes) -> None:
    error = NotFoundError("The specified vector bucket could not be found")
    indexes.before = failing(error, "PutVectors", "CreateIndex", times=2)
    with pytest.raises(RetryableError, match="vector bucket could not be found"):
        apply(indexes, plan((None, A)))


def test_an_index_that_is_dropped_meanwhile_needs_no_deletions(indexes: Indexes) -> None:
    apply(indexes, plan((None, A)))
    indexes.before = failing(NotFoundError("The specified index could not be found"), "DeleteVectors", "GetVectors")
    assert apply(indexes, plan((A, None))).deleted == 1
    other = Made(A.source, fingerprint=OTHER_FINGERPRINT)
    indexes.before = failing(NotFoundError("The specified index could not be found"), "GetVectors")
    assert apply(indexes, plan((other, other), touched=True)).put == 1


def test_any_call_may_lose_its_answer_and_any_batch_may_fail_anywhere(indexes: Indexes) -> None:
    old = Made(A.source, etag="old", fingerprint=OTHER_FINGERPRINT)
    gone = Made("s3://uploads/gone", fingerprint=OTHER_FINGERPRINT)
    apply(indexes, plan((None, old), (None, gone)))
    wanted = plan((old, A), (gone, None), (None, B))
    for number in itertools.count():
        left = [number]

        def before(_operation: str, _members: Mapping[str, Any], left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                indexes.lost = True
            elif left[0] < -1:
                raise TooManyRequestsError("slow down")

        indexes.before = before
        try:
            apply(indexes, wanted)
        except RetryableError:
            indexes.lost = False
            continue
        break
    assert number >= 4
    indexes.before = lambda _operation, _members: None
    assert apply(indexes, wanted).put == 2
    assert (set(indexes.vectors(OWN)), set(indexes.vectors(OTHER))) == (keys(A, B), set())
