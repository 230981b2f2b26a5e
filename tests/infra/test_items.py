import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from infra.common.items import Item, Vectors, nearest, plain


def item(name: str, vector: list[float] | Vectors, fingerprint: str = "f") -> Item:
    return {"source": name, "fingerprint": fingerprint, "embedding": np.asarray(vector, dtype=np.float32)}


@pytest.mark.parametrize(("dtype", "code"), [("float32", "<f4"), ("float16", "<f2")])
def test_plain_values(dtype: str, code: str) -> None:
    vector = np.array([0.5, -0.25, 1.0])
    got = plain(
        {
            "source": {"S": "s3://b/k"},
            "width": {"N": "640"},
            "ratio": {"N": "1.5"},
            "normalized": {"BOOL": True},
            "embedding_dtype": {"S": dtype},
            "embedding": {"B": vector.astype(code).tobytes()},
        }
    )
    embedding = got.pop("embedding")
    assert got == {"source": "s3://b/k", "width": 640, "ratio": 1.5, "normalized": True, "embedding_dtype": dtype}
    assert type(got["width"]) is int
    assert embedding.dtype == np.float32
    np.testing.assert_array_equal(embedding, vector)


def test_labels_are_plain_values_too() -> None:
    labels = [
        {"M": {"label": {"S": "tabby"}, "score": {"N": "0.41"}}},
        {"M": {"label": {"S": "animal"}, "score": {"N": "1"}}},
    ]
    assert plain({"labels": {"L": labels}, "none": {"L": []}}) == {
        "labels": [{"label": "tabby", "score": 0.41}, {"label": "animal", "score": 1}],
        "none": [],
    }


def test_an_item_without_a_vector() -> None:
    assert plain({"status": {"S": "error"}, "error_code": {"S": "corrupt_image"}}) == {
        "status": "error",
        "error_code": "corrupt_image",
    }


def test_nearest_depends_on_direction_only() -> None:
    items = [item("a", [1, 0]), item("b", [100, 1]), item("c", [0, 1]), {"source": "broken"}]
    found = nearest(items)
    assert {source: other for source, (other, _) in found.items()} == {"a": "b", "b": "a", "c": "b"}
    assert found["a"][1] == pytest.approx(100 / np.hypot(100, 1))


def test_vectors_of_different_fingerprints_are_not_compared() -> None:
    items = [item("a", [1, 0]), item("b", [1, 0, 0], "g"), item("c", [0, 1])]
    assert {source: other for source, (other, _) in nearest(items).items()} == {"a": "c", "c": "a"}


def test_a_single_image_has_no_neighbour() -> None:
    assert nearest([item("a", [1, 0])]) == {}
    assert nearest([]) == {}


def test_a_zero_vector_has_cosine_0() -> None:
    assert nearest([item("a", [0, 0]), item("b", [1, 0])])["a"][1] == 0


@given(hnp.arrays(np.float32, st.tuples(st.integers(2, 9), st.just(3)), elements=st.integers(-4, 4)))
def test_nearest_equals_a_plain_implementation(vectors: Vectors) -> None:
    items = [item(str(number), vector) for number, vector in enumerate(vectors)]
    lengths = np.linalg.norm(vectors, axis=1)
    for source, (other, cosine) in nearest(items).items():
        mine = int(source)
        by_hand = [
            vectors[mine] @ vector / ((lengths[mine] or 1) * (lengths[number] or 1))
            for number, vector in enumerate(vectors)
            if number != mine
        ]
        assert cosine == pytest.approx(max(by_hand), abs=1e-5)
        assert other != source


def test_many_images_are_compared_in_blocks() -> None:
    angles = np.arange(1500) * 0.001
    items = [item(str(number), vector) for number, vector in enumerate(np.stack([np.cos(angles), np.sin(angles)], 1))]
    found = nearest(items)
    assert all(abs(int(source) - int(other)) <= 3 for source, (other, _) in found.items())
    assert len(found) == 1500
