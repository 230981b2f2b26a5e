"""Search and duplicates in files of vectors, by the command line, beside plain numpy."""

import base64
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from handler.model.encoder import load_encoder
from infra.cli.main import main
from infra.common.errors import OperatorError, UsageError
from infra.offline.search import FileSearcher
from infra.offline.vector_file import load_vectors
from infra.operate.vectors.batch import Batch
from infra.operate.vectors.npz import npz_vectors
from infra.operate.vectors.parquet import parquet_vectors
from tests.support.class_bundles import add_class_labels, layer_of
from tests.support.pictures import encoded, picture

COUNT, DIM = 400, 24
MODEL, FINGERPRINT = "some-model", "ab" * 32
VECTORS = np.random.default_rng(3).standard_normal((COUNT, DIM)).astype(np.float32)
SOURCES = [f"s3://photos/{2015 + row % 5}/{row} é+.jpg" for row in range(COUNT)]


def batch(rows: slice = slice(None), model: str = MODEL, fingerprint: str = FINGERPRINT) -> Batch:
    sources = SOURCES[rows]
    many = len(sources)
    return Batch(sources, ["etag"] * many, [model] * many, [fingerprint] * many, [False] * many, VECTORS[rows])


def item(row: int, **more: Any) -> dict[str, Any]:
    return {
        "source": SOURCES[row],
        "status": "success",
        "etag": "etag",
        "model": MODEL,
        "fingerprint": FINGERPRINT,
        "embedding": VECTORS[row].tolist(),
        "width": row,
        "height": 10,
        "format": "jpeg",
        "updated_at": "2026-11-24T00:00:00.000000Z",
        **more,
    }


def write(path: Path, batches: Sequence[Batch] | None = None) -> Path:
    parts = batches or [batch(slice(0, 150)), batch(slice(150, None))]
    if path.suffix == ".jsonl":
        lines = [item(row) for row in range(COUNT)]
        path.write_bytes(b"\n".join(map(orjson.dumps, [*lines, {"source": "s3://photos/bad", "status": "error"}])))
        return path
    with path.open("wb") as file:
        if path.suffix == ".npz":
            with npz_vectors(file, path.parent) as npz:
                for part in parts:
                    npz.write(part)
        else:
            with parquet_vectors(file, mixed=len({part.models[0] for part in parts}) > 1) as parquet:
                for part in parts:
                    parquet.write(part)
    return path


@pytest.fixture(params=["vectors.npz", "vectors.parquet", "results.jsonl"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / request.param)


def exact(query: Any) -> list[tuple[str, float]]:
    wide = VECTORS.astype(np.float64)
    cosines = wide @ query / np.linalg.norm(wide, axis=1) / np.linalg.norm(query)
    return [(SOURCES[row], float(cosines[row])) for row in np.argsort(-cosines)]


def hits_of(answer: dict[str, Any]) -> list[tuple[str, float]]:
    return [(hit["source"], hit["score"]) for hit in answer["hits"]]


def same(found: list[tuple[str, float]], expected: list[tuple[str, float]]) -> None:
    assert [source for source, _ in found] == [source for source, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=2e-6)


def test_hits_are_those_of_numpy_in_every_format(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", SOURCES[7], "--vectors", str(path), "-k", "25", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["status"], answer["model"], answer["fingerprint"]) == ("ok", MODEL, FINGERPRINT)
    same(hits_of(answer), exact(VECTORS[7].astype(np.float64))[1:26])  # without the query itself


def test_pages_follow_each_other(path: Path) -> None:
    searcher = FileSearcher.load(path)
    body: dict[str, Any] = {"query": {"vector": VECTORS[0].tolist()}, "k": 150}
    found: list[tuple[str, float]] = []
    while True:
        answer = searcher.answer(body)
        found += hits_of(answer)
        if answer["next"] is None:
            break
        body["next"] = answer["next"]
    same(found, exact(VECTORS[0].astype(np.float64)))
    with pytest.raises(OperatorError, match="another query"):
        searcher.answer({**body, "k": 9, "next": "WzEsImEiLCJiIl0="})


def test_a_weighted_sum(path: Path) -> None:
    one, other = VECTORS[3] / np.linalg.norm(VECTORS[3]), VECTORS[4] / np.linalg.norm(VECTORS[4])
    terms = [{"source": SOURCES[3]}, {"source": SOURCES[4], "weight": -0.5}]
    found = hits_of(FileSearcher.load(path).answer({"query": terms, "k": 5}))
    expected = [each for each in exact(one - 0.5 * other) if each[0] not in {SOURCES[3], SOURCES[4]}]
    same(found, expected[:5])


def test_a_filter_and_a_least_score(path: Path) -> None:
    body = {
        "query": {"vector": VECTORS[0].tolist()},
        "k": 1000,
        "filter": {"$and": [{"key": {"$startsWith": "2016/"}}, {"bucket": "photos"}]},
        "min_score": 0.1,
    }
    expected = [each for each in exact(VECTORS[0].astype(np.float64)) if "/2016/" in each[0] and each[1] >= 0.1]
    same(hits_of(FileSearcher.load(path).answer(body)), expected)


def test_similar_hits_are_folded(tmp_path: Path) -> None:
    rows = [item(row, embedding=VECTORS[row // 3].tolist()) for row in range(30)]
    file = tmp_path / "results.jsonl"
    file.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    answer = FileSearcher.load(file).answer({"query": {"vector": VECTORS[0].tolist()}, "k": 30, "dedupe": 0.999})
    assert [hit["duplicates"] for hit in answer["hits"]] == [2] * 10


def test_a_file_with_several_models_needs_a_fingerprint(tmp_path: Path) -> None:
    other = batch(slice(100, None), "other", "cd" * 32)
    file = write(tmp_path / "mixed.parquet", [batch(slice(0, 100)), other])
    with pytest.raises(OperatorError, match=r"several models.*abababab.*cdcdcdcd"):
        load_vectors(file)
    found = load_vectors(file, "cdcd")
    assert (found.model, found.sources) == ("other", list(other.sources))
    assert np.array_equal(found.vectors, other.vectors)
    with pytest.raises(OperatorError, match="no vectors with the fingerprint ee"):
        load_vectors(file, "ee")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.npz", None, "cannot read .*absent.npz: No such file"),
        ("absent.parquet", None, "cannot read .*absent.parquet"),
        ("vectors.csv", b"", "must end in .parquet, .npz, .jsonl"),
        ("broken.npz", b"PK", "is not a file that"),
        ("broken.parquet", b"PAR1", "is not a file that"),
        ("broken.jsonl", b'{"embedding": [1], "source": 3', "is not a file that"),
        ("half.jsonl", b'{"embedding": [1, 2]}', "is not a file that"),
        ("empty.jsonl", b"\n", "has no vectors"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(OperatorError, match=message):
        load_vectors(tmp_path / name)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["words", "-k", "0"], 2, "k is 0; expected a whole number from 1 to 1000"),
        (["words", "-k", "1001"], 2, "k is 1001"),
        (["words", "--filter", "{"], 2, "--filter is not JSON"),
        (["words", "--filter", "[]"], 2, "filter is"),
        (["words", "--min-score", "2"], 2, "min_score is 2.0; expected a number from -1 to 1"),
        (["words", "--min-score", "nan"], 2, "min_score is nan"),
        (["words", "--dedupe", "-1"], 2, "dedupe is -1.0"),
        (["  "], 2, "text is"),
        (["s3://bucket"], 2, "source is"),
        (["text:", "--minus", "text:"], 2, "text is"),
        (["s3://photos/none.jpg"], 1, "is not in .*(not_found)"),
        ([SOURCES[0], "--filter", '{"$or": 3}'], 1, "Invalid filter"),
        ([SOURCES[0], "--filter", '{"source": "x"}'], 1, "non-filterable"),
        ([SOURCES[0], "--next", "?"], 1, "next is not a token"),
        ([SOURCES[0], "--minus", SOURCES[0], "--minus", SOURCES[0]], 1, "cancel each other out"),
        (["absent.jpg"], 1, "there is no file absent.jpg; to search for these words, write text:absent.jpg"),
        (["words", "--images", "."], 2, "--images is for --html"),
        (["words"], 1, "give the bundle of the model some-model with --model"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    file = write(tmp_path / "results.jsonl")
    assert main(["search", *arguments, "--vectors", str(file)]) == code
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert all(part in said.err for part in message.split(".*"))


def test_options_of_files_are_refused_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "words", "--model", "m"]) == 2
    assert "--fingerprint and --model are for --vectors" in capsys.readouterr().err


@pytest.fixture
def labelled(tiny_bundle: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A bundle with a classifier and no text tower, and a file of its vectors with labels."""
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    fields = orjson.loads((bundle / "model.json").read_bytes())
    dim = fields["embedding_dim"]
    add_class_labels(bundle, layer_of(dim))
    rows = [
        {**item(row, embedding=np.eye(dim)[row].tolist(), fingerprint=fields["fingerprint"]), "labels": labels}
        for row, labels in enumerate(
            [
                [{"label": "tabby", "score": 0.9}, {"label": "cat", "score": 0.95}],
                [{"label": "Egyptian cat", "score": 0.5}, {"label": "cat", "score": 0.97}],
                [{"label": "pug", "score": 0.8}],
            ]
        )
    ]
    file = tmp_path / "labelled.jsonl"
    file.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return bundle, file


def test_a_word_finds_by_label(labelled: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    bundle, file = labelled
    assert main(["search", "true cat", "--vectors", str(file), "--model", str(bundle), "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert [(hit["source"], hit["label_score"]) for hit in hits] == [(SOURCES[1], 0.97), (SOURCES[0], 0.95)]
    assert [hit["score"] for hit in hits] == pytest.approx([2**-0.5, 2**-0.5], abs=1e-6)
    assert main(["search", "cow", "--vectors", str(file), "--model", str(bundle)]) == 1
    assert "(unknown_word)" in capsys.readouterr().err
    assert main(["search", "cat", "--minus", "pug", "--vectors", str(file), "--model", str(bundle)]) == 1
    assert "(invalid_request)" in capsys.readouterr().err


def test_words_need_labels_in_the_file(labelled: tuple[Path, Path], tmp_path: Path) -> None:
    bundle, labelled_file = labelled
    fingerprint = load_vectors(labelled_file).fingerprint
    file = tmp_path / "plain.jsonl"
    file.write_bytes(orjson.dumps(item(0, embedding=[1.0] * 48, fingerprint=fingerprint)))
    with pytest.raises(OperatorError, match="has no labels"):
        FileSearcher.load(file, str(bundle)).answer({"query": {"text": "cat"}})


def test_a_picture_finds_itself(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from handler.embed import embed_image
    from handler.timing import Stopwatch

    encoder = load_encoder(tiny_bundle)
    files = []
    rows = []
    for row in range(3):
        data = encoded(picture(64, 48, seed=row))
        files.append(tmp_path / f"{row}.png")
        files[-1].write_bytes(data)
        vector = embed_image(encoder, data, 10**8, Stopwatch()).vector
        rows.append(item(row, embedding=vector.tolist(), fingerprint=encoder.spec.fingerprint))
    file = tmp_path / "results.jsonl"
    file.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    options = ["--vectors", str(file), "--model", str(tiny_bundle)]
    assert main(["search", str(files[1]), *options, "-k", "1", "--json"]) == 0
    (hit,) = json.loads(capsys.readouterr().out)["hits"]
    assert (hit["source"], hit["score"]) == (SOURCES[1], pytest.approx(1, abs=1e-5))
    files[2].write_bytes(b"no picture")
    assert main(["search", str(files[2]), *options]) == 1
    assert "(unsupported_format)" in capsys.readouterr().err
    assert main(["search", "words", *options]) == 1
    assert "(no_text_tower)" in capsys.readouterr().err


def test_another_model_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "results.jsonl")
    data = base64.b64encode(encoded(picture(64, 48))).decode()
    with pytest.raises(OperatorError, match="cannot be compared"):
        FileSearcher.load(file, str(tiny_bundle)).answer({"query": {"image": data}})


def test_a_vector_of_another_length(path: Path) -> None:
    with pytest.raises(OperatorError, match="vector has 2 numbers; the model's have 24"):
        FileSearcher.load(path).answer({"query": {"vector": [1, 0]}})
    with pytest.raises(UsageError, match="query is empty"):
        FileSearcher.load(path).answer({"query": []})


def test_duplicates_of_a_file(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "groups.csv"
    assert main(["duplicates", "--vectors", str(path), "--least", "0.6", "--csv", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    units = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    paired = set(np.argwhere(np.triu(units @ units.T >= 0.6, 1)).ravel().tolist())
    assert paired
    assert {each["source"] for group in answer["groups"] for each in group} == {SOURCES[row] for row in paired}
    rows = out.read_text("utf-8").splitlines()
    assert rows[0] == "group,source,cosine"
    assert len(rows) == 1 + len(paired)
    assert main(["duplicates", "--vectors", str(path), "--least", "0"]) == 2
    assert main(["duplicates", "--vectors", str(path), "--least", "nan"]) == 2
