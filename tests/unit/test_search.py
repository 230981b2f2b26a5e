"""Searches in indexes that the indexer has filled, beside exact cosines in numpy."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import copytree
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from handler.api.items import ItemReader
from handler.api.pages import MAX_ANSWER_BYTES
from handler.api.search import Search
from handler.api.towers import Limits, Towers
from handler.errors import RetryableError
from handler.index.names import index_name, vector_key
from handler.index.plan import plan_of
from handler.index.stream import Change
from handler.index.writer import IndexWriter
from handler.model.encoder import load_encoder
from handler.model.identity import load_identity
from handler.model.text import load_text_tower
from handler.timing import Deadline
from infra.local.s3vectors.errors import AccessDeniedError, InternalServerError, TooManyRequestsError, ValidationError
from tests.support.bundles import DIM
from tests.support.class_bundles import add_class_labels, layer_of
from tests.support.memory_aws import MemoryDynamoDB
from tests.support.pictures import encoded, picture
from tests.support.stored_items import Made
from tests.support.text_bundles import add_text
from tests.support.vector_indexes import Indexes, failing

Rows = npt.NDArray[np.float64]

COUNT = 260
TABLE = "vectors"


def make_api(bundle: Path, search: Search | None) -> Any:
    """The function; importing its entry point initialises it, so this sets the environment before the import."""
    settings = {"MODEL_DIR": str(bundle), "TABLE_NAME": TABLE, "AWS_DEFAULT_REGION": "us-east-1", "VECTOR_BUCKET": ""}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        from handler.api.app import Api
    return Api(load_identity(bundle), search)


@dataclass
class World:
    """A bundle, a table, an index, and the function that searches in it."""

    bundle: Path
    indexes: Indexes = field(default_factory=Indexes)
    dynamodb: MemoryDynamoDB = field(default_factory=MemoryDynamoDB)

    def __post_init__(self) -> None:
        self.identity = load_identity(self.bundle)
        limits = Limits(max_bytes=1_000_000, max_pixels=1_000_000)
        self.towers = Towers(self.bundle, self.identity, limits)
        items = ItemReader(cast("Any", self.dynamodb), TABLE)
        self.api = make_api(self.bundle, Search(self.indexes.client, items, self.towers))

    def add(self, *made: Made) -> None:
        """Write items, and index them."""
        changes = []
        for one in made:
            known = replace(one, fingerprint=self.identity.fingerprint)
            self.dynamodb.items[one.source] = known.wire()
            changes.append(Change(one.source, None, known.item()))
        IndexWriter(self.indexes.client).apply(plan_of(changes), Deadline(60))
        self.indexes.calls.clear()

    def ask(self, query: Any, **more: Any) -> dict[str, Any]:
        """The answer, as Lambda would deliver it."""
        answer: dict[str, Any] = json.loads(json.dumps(self.api.answer({"query": query, **more}, Deadline(60))))
        return answer

    def hits(self, query: Any, **more: Any) -> list[dict[str, Any]]:
        """The hits of an answer without an error."""
        answer = self.ask(query, **more)
        assert answer["status"] == "ok", answer
        found: list[dict[str, Any]] = answer["hits"]
        return found

    def error(self, query: Any, **more: Any) -> tuple[str, str]:
        """Code and text of an answer with an error."""
        answer = self.ask(query, **more)
        assert answer.keys() == {"status", "error", "error_code"}
        assert (answer["status"], len(answer["error"].splitlines())) == ("error", 1)
        return answer["error_code"], answer["error"]


def source(number: int) -> str:
    return f"s3://uploads/{'even' if number % 2 == 0 else 'odd'}/{number:03}.jpg"


def rows(seed: int = 0, count: int = COUNT) -> Rows:
    made = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return made.astype(np.float64)


def units(matrix: Rows) -> Rows:
    found: Rows = matrix / np.linalg.norm(matrix, axis=-1, keepdims=True)
    return found


def ranked(query: Rows, without: Sequence[int] = ()) -> list[tuple[str, float]]:
    """Sources and exact cosines, best first."""
    cosines = units(rows()) @ units(query)
    order = [int(number) for number in np.argsort(-cosines) if number not in without]
    return [(source(number), float(cosines[number])) for number in order]


def check(hits: Sequence[Mapping[str, Any]], wanted: Sequence[tuple[str, float]]) -> None:
    assert [hit["source"] for hit in hits] == [name for name, _ in wanted]
    assert [hit["score"] for hit in hits] == pytest.approx([score for _, score in wanted], abs=1e-4)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> World:
    """260 random vectors, none of which a test changes."""
    from tests.support.bundles import write_tiny_bundle

    world = World(write_tiny_bundle(tmp_path_factory.mktemp("models") / "tiny"))
    world.add(*(Made(source(number), vector=row) for number, row in enumerate(rows())))
    return world


@pytest.fixture
def empty(tiny_bundle: Path) -> World:
    return World(tiny_bundle)


QUERY = rows(1, 1)[0]


# What is found.


def test_a_raw_vector_finds_the_nearest_with_exact_cosines(filled: World) -> None:
    hits = filled.hits({"vector": QUERY.tolist()}, k=150)
    check(hits, ranked(QUERY)[:150])


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 3, 1e30, 1e300])
def test_the_length_of_a_vector_does_not_matter(filled: World, scale: float) -> None:
    check(filled.hits({"vector": (QUERY * scale).tolist()}), ranked(QUERY)[:10])


def test_an_answer_and_a_hit_have_all_fields(empty: World) -> None:
    labels = [("tabby", 0.41), ("cat", 0.5)]
    empty.add(Made(source(0), vector=QUERY, labels=labels), Made(source(1), vector=-QUERY))
    answer = empty.ask({"vector": QUERY.tolist()})
    assert answer == {
        "status": "ok",
        "model": "tiny",
        "fingerprint": empty.identity.fingerprint,
        "hits": [
            {
                "source": source(0),
                "score": pytest.approx(1, abs=1e-4),
                "labels": [{"label": "tabby", "score": 0.41}, {"label": "cat", "score": 0.5}],
                "width": 640,
                "height": 480,
                "format": "jpeg",
                "updated_at": "2026-11-29T12:30:15Z",
                "result": "s3://results/uploads/even/000.jpg/e1.json",
                "duplicates": 0,
            },
            {**answer["hits"][1], "source": source(1), "score": pytest.approx(-1, abs=1e-4), "labels": []},
        ],
        "next": None,
    }


def test_a_source_finds_the_nearest_others_by_its_vector_in_the_index(filled: World) -> None:
    filled.indexes.calls.clear()
    check(filled.hits({"source": source(7)}), ranked(rows()[7], without=[7])[:10])
    assert filled.indexes.operations() == ["GetVectors", "QueryVectors"]
    assert len(filled.hits({"source": source(7)}, k=COUNT)) == COUNT - 1


def test_a_picture_finds_what_its_vector_finds(filled: World) -> None:
    data = encoded(picture(64, 48, seed=3))
    by_picture = filled.hits({"image": base64.b64encode(data).decode()})
    vector = np.array(filled.towers.embed_image(data), np.float64)
    check(by_picture, ranked(vector)[:10])


def test_terms_are_normalised_weighted_and_added(filled: World) -> None:
    query = [
        {"source": source(3)},
        {"vector": (50 * QUERY).tolist(), "weight": -0.5},
        {"source": source(4), "weight": 2},
    ]
    one, two, three = units(rows()[3]), units(QUERY), units(rows()[4])
    check(filled.hits(query), ranked(one - 0.5 * two + 2 * three, without=[3, 4])[:10])


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_only_the_proportion_of_weights_matters(filled: World, scale: float) -> None:
    query = [{"vector": QUERY.tolist(), "weight": scale}, {"source": source(3), "weight": -0.25 * scale}]
    check(filled.hits(query), ranked(units(QUERY) - 0.25 * units(rows()[3]), without=[3])[:10])


def test_filters_narrow_the_search(filled: World) -> None:
    hits = filled.hits({"vector": QUERY.tolist()}, filter={"key": {"$startsWith": "odd/"}}, k=20)
    check(hits, [entry for entry in ranked(QUERY) if "/odd/" in entry[0]][:20])
    both = {"$and": [{"key": {"$startsWith": "odd/"}}, {"width": {"$gt": 640}}]}
    assert filled.hits({"vector": QUERY.tolist()}, filter=both) == []


@pytest.mark.parametrize("least", [-1, 0.2, 0.999])
def test_hits_below_min_score_are_left_out(filled: World, least: float) -> None:
    hits = filled.hits({"vector": QUERY.tolist()}, k=COUNT, min_score=least)
    check(hits, [entry for entry in ranked(QUERY) if entry[1] >= least])


def test_a_model_without_an_index_finds_nothing(empty: World) -> None:
    assert empty.hits({"vector": QUERY.tolist()}) == []


# Pages.


@pytest.mark.parametrize("more", [{}, {"min_score": 0.0}, {"filter": {"key": {"$startsWith": "even/"}}}])
@pytest.mark.parametrize("query", [{"vector": QUERY.tolist()}, {"source": source(9)}])
def test_pages_make_up_the_whole(filled: World, query: Mapping[str, Any], more: Mapping[str, Any]) -> None:
    whole = filled.hits(query, k=1000, **more)
    found: list[dict[str, Any]] = []
    token = None
    for _ in range(100):
        answer = filled.ask(query, k=37, next=token, **more)
        found += answer["hits"]
        token = answer["next"]
        if token is None:
            break
        assert len(answer["hits"]) == 37
    assert found == whole


def test_a_page_that_ends_with_the_last_hit_has_no_next_one(empty: World) -> None:
    empty.add(*(Made(source(number), vector=row) for number, row in enumerate(rows()[:4])))
    assert empty.ask({"vector": QUERY.tolist()}, k=4)["next"] is None
    assert empty.ask({"source": source(0)}, k=3)["next"] is None
    assert empty.ask({"vector": QUERY.tolist()}, k=3)["next"] is not None


def test_equal_vectors_are_always_in_the_same_order(empty: World) -> None:
    empty.add(*(Made(source(number), vector=QUERY) for number in range(30)))
    query = {"vector": QUERY.tolist()}
    token: str | None = None
    found: list[str] = []
    while not found or token:
        answer = empty.ask(query, k=7, next=token)
        found += [hit["source"] for hit in answer["hits"]]
        token = answer["next"]
    assert sorted(found) == [source(number) for number in (*range(0, 30, 2), *range(1, 30, 2))]
    assert found == [hit["source"] for hit in empty.hits(query, k=30)]


def test_a_token_of_another_query_is_refused(filled: World, tmp_path: Path) -> None:
    query = {"vector": QUERY.tolist()}
    token = filled.ask(query, k=5)["next"]
    assert filled.error(query, k=6, next=token)[0] == "invalid_request"
    assert "another query" in filled.error({"source": source(1)}, k=5, next=token)[1]
    from tests.support.bundles import write_tiny_bundle

    other = World(write_tiny_bundle(tmp_path / "other", name="other"))
    assert "another model" in other.error(query, k=5, next=token)[1]


def forged(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "token",
    ["x", "é", "====", forged(5), forged(None), forged([1, 2]), forged({"a": 1}), base64.b64encode(b"\xff").decode()],
)
def test_what_is_no_token_is_refused(filled: World, token: str) -> None:
    code, text = filled.error({"vector": QUERY.tolist()}, next=token)
    assert (code, text) == ("invalid_request", "next is not a token that a search has given")


@pytest.mark.parametrize("start", [0, -5, 10_000, 2.5, "10", None, True])
def test_a_token_with_another_start_is_refused(filled: World, start: object) -> None:
    query = {"vector": QUERY.tolist()}
    token = filled.ask(query, k=5)["next"]
    _, digest, model = json.loads(base64.urlsafe_b64decode(token))
    assert filled.error(query, k=5, next=forged([start, digest, model]))[0] == "invalid_request"


def test_a_page_is_as_long_as_lambda_delivers_and_the_next_one_goes_on(empty: World) -> None:
    keys = [f"{number:04}/" + "\x01" * 1000 for number in range(700)]  # six bytes each in JSON
    labels = [("\x01" * 8, 0.25)] * 24
    empty.add(*(Made(f"s3://uploads/{key}", vector=QUERY + n / 1000, labels=labels) for n, key in enumerate(keys)))
    found: list[str] = []
    token, sizes = None, []
    while not found or token:
        answer = empty.api.answer({"query": {"vector": QUERY.tolist()}, "k": 1000, "next": token}, Deadline(60))
        size = len(json.dumps(answer).encode())
        assert size < 6_291_556
        found += [hit["source"] for hit in answer["hits"]]
        token = answer["next"]
        sizes.append(size)
    assert len(found) == len(set(found)) == 700
    assert len(sizes) == 2
    assert sizes[0] > MAX_ANSWER_BYTES - 20_000


# Duplicates.


def test_of_similar_hits_of_a_page_only_the_best_stays(empty: World) -> None:
    base, far = units(QUERY), units(rows(2, 1)[0])
    near = [units(base + 0.01 * step * far) for step in range(4)]
    vectors = [*near, far, far]
    empty.add(*(Made(source(number), vector=row) for number, row in enumerate(vectors)))
    hits = empty.hits({"vector": base.tolist()}, dedupe=0.98)
    assert [(hit["source"] == source(0), hit["duplicates"]) for hit in hits] == [(True, 3), (False, 1)]
    assert [hit["duplicates"] for hit in empty.hits({"vector": base.tolist()})] == [0] * 6


def test_equal_vectors_are_duplicates_at_any_threshold(empty: World) -> None:
    empty.add(*(Made(source(number), vector=row) for number, row in enumerate(np.repeat(rows()[:20], 3, axis=0))))
    hits = empty.hits({"vector": QUERY.tolist()}, k=60, dedupe=1)
    assert [hit["duplicates"] for hit in hits] == [2] * 20


def test_duplicates_are_those_of_a_page(empty: World) -> None:
    empty.add(*(Made(source(number), vector=QUERY) for number in range(5)))
    first = empty.ask({"vector": QUERY.tolist()}, k=3, dedupe=0.9)
    assert ([hit["duplicates"] for hit in first["hits"]], first["next"] is None) == ([2], False)
    second = empty.ask({"vector": QUERY.tolist()}, k=3, dedupe=0.9, next=first["next"])
    assert ([hit["duplicates"] for hit in second["hits"]], second["next"]) == ([1], None)


def test_a_hit_whose_vector_is_deleted_meanwhile_stays(empty: World) -> None:
    empty.add(*(Made(source(number), vector=QUERY) for number in range(3)))

    def before(operation: str, _members: Mapping[str, Any]) -> None:
        if operation == "GetVectors":
            name = index_name(empty.identity.fingerprint)
            empty.indexes.before = lambda _operation, _members: None
            empty.indexes.operate("DeleteVectors", indexName=name, keys=[vector_key(source(1))])

    empty.indexes.before = before
    hits = empty.hits({"vector": QUERY.tolist()}, dedupe=0)
    assert {(hit["source"], hit["duplicates"]) for hit in hits} == {(source(0), 1), (source(1), 0)}


def test_the_vectors_of_a_large_page_come_in_several_calls(filled: World) -> None:
    filled.indexes.calls.clear()
    assert len(filled.hits({"vector": QUERY.tolist()}, k=250, dedupe=1)) == 250
    assert filled.indexes.operations() == [*["QueryVectors"] * 3, *["GetVectors"] * 3]


# Texts.


@pytest.fixture(scope="module")
def with_text(tmp_path_factory: pytest.TempPathFactory) -> World:
    from tests.support.bundles import write_tiny_bundle

    bundle = write_tiny_bundle(tmp_path_factory.mktemp("models") / "text")
    add_text(bundle, DIM)
    world = World(bundle)
    world.add(*(Made(source(number), vector=row) for number, row in enumerate(rows())))
    return world


def test_words_find_what_their_vector_finds(with_text: World) -> None:
    (vector,) = load_text_tower(with_text.bundle).embed(["a beach"]).astype(np.float64)
    check(with_text.hits({"text": "a beach"}), ranked(vector)[:10])


def test_words_can_be_weighted_and_added_to_anything(with_text: World) -> None:
    beach, people = load_text_tower(with_text.bundle).embed(["a beach", "people"]).astype(np.float64)
    query = [{"text": "a beach"}, {"text": "people", "weight": -0.5}, {"source": source(1)}]
    wanted = units(beach) - 0.5 * units(people) + units(rows()[1])
    check(with_text.hits(query), ranked(wanted, without=[1])[:10])


def test_a_model_without_texts_and_words_refuses_them(filled: World) -> None:
    code, text = filled.error({"text": "cat"})
    assert (code, text) == (
        "no_text_tower",
        "tiny has no text tower and no vocabulary: search by image, source or vector",
    )


# Words of a model without a text tower.


@pytest.fixture
def with_words(tiny_bundle: Path, tmp_path: Path) -> World:
    bundle = copytree(tiny_bundle, tmp_path / "words")
    add_class_labels(bundle, layer_of(DIM))
    world = World(bundle)
    world.add(
        Made(source(0), vector=QUERY, labels=[("tabby", 0.3), ("cat", 0.4)]),
        Made(source(1), vector=QUERY, labels=[("cat", 0.9)]),
        Made(source(2), vector=-QUERY, labels=[("crane", 0.8)]),
        Made(source(3), vector=-QUERY, labels=[("device", 0.2), ("radio", 0.1)]),
        Made(source(4), vector=rows()[0], labels=[("cat", 0.4)]),
        Made(source(5), vector=rows()[1]),
    )
    return world


def test_a_word_finds_by_labels_and_orders_by_their_scores(with_words: World) -> None:
    hits = with_words.hits({"text": "True_Cat"})
    assert hits[0]["source"] == source(1)
    assert {hit["source"] for hit in hits} == {source(0), source(1), source(4)}
    assert [hit["label_score"] for hit in hits] == [0.9, 0.4, 0.4]
    toward = with_words.towers.label_vector(["cat"])
    cosines = units(np.array([QUERY, QUERY, rows()[0]])) @ units(np.array(toward, np.float64))
    exact = dict(zip([source(0), source(1), source(4)], cosines, strict=True))
    assert {hit["source"]: hit["score"] for hit in hits} == pytest.approx(exact, abs=1e-4)


def test_a_word_can_be_narrowed_paged_and_cut(with_words: World) -> None:
    first = with_words.ask({"text": "cat"}, k=1)
    assert [hit["source"] for hit in first["hits"]] == [source(1)]
    rest = with_words.ask({"text": "cat"}, k=1, next=first["next"])["hits"]
    assert [hit["label_score"] for hit in rest] == [0.4]
    assert [hit["source"] for hit in with_words.hits({"text": "cat"}, min_score=0.5)] == [source(1)]
    even = with_words.hits({"text": "cat"}, filter={"key": {"$startsWith": "even/"}})
    assert {hit["source"] for hit in even} == {source(0), source(4)}
    assert with_words.hits({"text": "cat"}, dedupe=0.99)[1]["duplicates"] == 0


def test_an_unknown_word_is_refused_with_the_nearest_ones(with_words: World) -> None:
    code, text = with_words.error({"text": "tabbi"})
    assert code == "unknown_word"
    assert "'tabbi' is not in the vocabulary of this model; the nearest known words: tabby" in text


@pytest.mark.parametrize(
    "query",
    [
        {"text": "cat", "weight": -1},
        [{"text": "cat"}, {"text": "crane"}],
        [{"text": "cat"}, {"source": source(1)}],
        [{"text": "cow"}, {"text": "crane"}],
    ],
)
def test_words_of_a_vocabulary_cannot_be_added_or_negative(with_words: World, query: object) -> None:
    code, text = with_words.error(query)
    assert (code, "alone and with a positive weight" in text) == ("invalid_request", True)


def test_a_weight_does_not_change_a_word(with_words: World) -> None:
    assert with_words.hits({"text": "cat", "weight": 3}) == with_words.hits({"text": "cat"})


# Errors.


def test_a_source_that_is_not_in_the_index(filled: World) -> None:
    absent, rejected, deleted, waiting = (f"s3://uploads/{name}" for name in ("absent", "bad", "deleted", "waiting"))
    items = [Made(rejected, status="error"), Made(deleted, status="deleted", etag=None), Made(waiting)]
    filled.dynamodb.items |= {one.source: one.wire() for one in items}
    assert filled.error({"source": absent}) == ("not_found", f"{absent} has no item in the table")
    assert filled.error({"source": deleted})[0] == "not_found"
    assert filled.error({"source": rejected}) == (
        "not_indexed",
        f"{rejected} was rejected (corrupt_image), so it has no vector",
    )
    assert filled.error({"source": waiting}) == ("not_indexed", f"{waiting} is not in the index of this model yet")


def test_a_source_in_a_model_without_an_index(empty: World) -> None:
    empty.dynamodb.items[source(1)] = Made(source(1)).wire()
    assert empty.error({"source": source(1)})[0] == "not_indexed"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"vector": [1.0]}, "vector has 1 numbers; the model's have 48"),
        ({"vector": [0.0] * DIM}, "vector has a vector of zeros"),
        ([{"source": source(1)}, {"source": source(1), "weight": -1}], "cancel each other out"),
        ([{"vector": [1.0] * DIM}, {"vector": [3.0] * DIM, "weight": -1 + 1e-9}], "cancel each other out"),
    ],
)
def test_a_query_without_a_direction(filled: World, query: object, message: str) -> None:
    code, text = filled.error(query)
    assert (code, message in text) == ("invalid_request", True), text


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"no picture at all", "unsupported_format"),
        (encoded(picture(64, 48), "JPEG")[:300], "corrupt_image"),
        (encoded(picture(1100, 1000), "PNG"), "too_many_pixels"),
        (b"\x89PNG\r\n\x1a\n" + bytes(1_000_000), "too_many_bytes"),
    ],
)
def test_a_picture_that_cannot_be_embedded_has_its_own_code(filled: World, data: bytes, code: str) -> None:
    assert filled.error({"image": base64.b64encode(data).decode()})[0] == code


@pytest.mark.parametrize(
    "filters", [{"$nor": [1]}, {"key": {"$like": "x"}}, {"source": "s3://uploads/a"}, {"a": 1, "b": 2}, {"a": [1]}]
)
def test_a_broken_filter_has_the_message_of_s3_vectors_in_one_line(filled: World, filters: Mapping[str, Any]) -> None:
    code, text = filled.error({"vector": QUERY.tolist()}, filter=filters)
    assert code == "invalid_request"
    assert text.startswith("S3 Vectors refuses the filter: Invalid ")


def test_a_refusal_without_a_filter_does_not_blame_it(filled: World) -> None:
    filled.indexes.before = failing(ValidationError("no\nway"), "QueryVectors")
    code, text = filled.error({"vector": QUERY.tolist()})
    assert (code, text) == ("invalid_request", "S3 Vectors refuses the query: no way")


@pytest.mark.parametrize("operation", ["QueryVectors", "GetVectors"])
def test_throttling_is_waited_out_and_in_the_end_unavailable(
    filled: World, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.setattr("handler.aws.retries.FIRST_BACKOFF_SECONDS", 0)
    filled.indexes.before = failing(TooManyRequestsError("slow down"), operation, times=4)
    assert len(filled.hits({"source": source(3)})) == 10
    filled.indexes.before = failing(InternalServerError("oh"), operation, times=5)
    assert filled.error({"source": source(3)})[0] == "unavailable"
    filled.indexes.before = failing(AccessDeniedError("not authorized"), operation)
    assert filled.error({"source": source(3)})[0] == "access_denied"


def test_a_search_ends_with_the_time_that_is_left(filled: World) -> None:
    answer = filled.api.answer({"query": {"vector": QUERY.tolist()}, "k": 250}, Deadline(0))
    assert (answer["error_code"], answer["error"]) == (
        RetryableError.code,
        "the time is over, with 100 of up to 251 hits read; ask for fewer",
    )


def test_a_stack_without_an_index_says_how_to_get_one(tiny_bundle: Path) -> None:
    answer = make_api(tiny_bundle, None).answer({"query": {"text": "cat"}}, Deadline(60))
    assert (answer["status"], answer["error_code"]) == ("error", "search_off")
    assert "Search" in answer["error"]


def test_a_defect_is_an_error_in_the_same_shape(filled: World, capsys: pytest.CaptureFixture[str]) -> None:
    filled.indexes.before = failing(cast("Any", KeyError("oops")), "QueryVectors", times=99)
    answer = filled.error({"vector": [math.pi] * DIM})
    filled.indexes.before = lambda _operation, _members: None
    assert answer[0] in {"internal", "unavailable"}
    capsys.readouterr()


def test_the_image_tower_is_loaded_once_and_without_labels(with_words: World) -> None:
    data = base64.b64encode(encoded(picture())).decode()
    with_words.hits({"image": data})
    first = with_words.towers._image  # noqa: SLF001 - nothing else shows it
    with_words.hits({"image": data})
    assert with_words.towers._image is first  # noqa: SLF001
    assert first is not None
    assert first.labels is None
    assert load_encoder(with_words.bundle).labels is not None
