import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from handler.errors import BundleError
from handler.model.encoder import load_encoder
from handler.model.labels import Label, load_labels
from handler.model.spec import BundleFile, TextLabelsSpec
from handler.model.text import TextEncoder
from handler.model.text_labels import TextLabels
from infra.bake.labels import NAMES_FILE, VECTORS_FILE, bake_labels, read_labels
from infra.common.errors import OperatorError
from infra.common.hashing import file_sha256
from tests.support.bundles import write_tiny_bundle
from tests.support.clip_tokenizer import write_tokenizer
from tests.support.text_bundles import GRAPH_FILE, SPEC, TOKENIZER_FILE, load
from tests.support.towers import DIM, make_tower

NAMES = ("cat", "dog", "sunset on a beach", "#nofilter", "猫", "Eiffel Tower", "CAT")


def floats(*rows: Any) -> npt.NDArray[np.float32]:
    return np.array(rows, dtype=np.float32)


LABELS = TextLabels(
    ("east", "north", "north again", "west", "both", "south"),
    floats([1, 0], [0, 1], [0, 1], [-1, 0], [0.6, 0.8], [0, -1]),
)


@pytest.fixture(scope="module")
def text_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    write_tokenizer(folder / TOKENIZER_FILE)
    make_tower().write(folder / GRAPH_FILE)
    return folder


@pytest.fixture(scope="module")
def encoder(text_bundle: Path) -> TextEncoder:
    return load(text_bundle, SPEC, DIM)


@pytest.fixture
def bundle(tmp_path: Path, encoder: TextEncoder) -> Path:
    bake_labels(NAMES, encoder, tmp_path)
    return tmp_path


def vouched(bundle: Path) -> TextLabelsSpec:
    """What `model.json` would say of the files as they are now."""
    names, vectors = (
        BundleFile(name, (bundle / name).stat().st_size, file_sha256(bundle / name))
        for name in (NAMES_FILE, VECTORS_FILE)
    )
    return TextLabelsSpec(names, vectors)


def loaded(bundle: Path, dim: int = DIM) -> TextLabels:
    labels = load_labels(bundle, vouched(bundle), dim)
    assert isinstance(labels, TextLabels)
    return labels


def refusal(bundle: Path, dim: int = DIM, spec: TextLabelsSpec | None = None) -> str:
    with pytest.raises(BundleError) as caught:
        load_labels(bundle, spec or vouched(bundle), dim)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def test_the_five_nearest_labels_best_first() -> None:
    assert LABELS.top(floats(0, 1)) == (
        Label("north", 1.0),
        Label("north again", 1.0),
        Label("both", 0.8),
        Label("east", 0.0),
        Label("west", 0.0),
    )


@pytest.mark.parametrize("length", [1e-30, 0.5, 7, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_length_of_a_vector_does_not_matter(length: float, dtype: type[np.floating]) -> None:
    assert LABELS.top(np.array([3 * length, 4 * length], dtype))[0] == Label("both", 1.0)
    assert [label.score for label in LABELS.top(np.array([-length, 0], dtype))] == [1.0, 0.0, 0.0, 0.0, -0.6]


def test_a_vector_of_zeros_is_like_nothing() -> None:
    assert LABELS.top(np.zeros(2, np.float32)) == tuple(Label(name, 0.0) for name in LABELS.names[:5])


@pytest.mark.parametrize("dim", [5, 48, 511, 512, 1280])
def test_equal_labels_stay_in_the_order_of_their_file(dim: int) -> None:
    noise = np.random.default_rng(dim)
    texts: npt.NDArray[np.float32] = noise.standard_normal((3, dim), dtype=np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    which = noise.integers(3, size=1_001)
    labels = TextLabels(tuple(map(str, range(1_001))), texts[which])
    for text, vector in enumerate(texts):
        found = labels.top(vector)
        assert [label.name for label in found] == [str(place) for place in np.flatnonzero(which == text)[:5]]
        assert len({label.score for label in found}) == 1


def test_fewer_than_five_labels_are_all_named() -> None:
    assert TextLabels(("a",), floats([1, 0])).top(floats(1, 0)) == (Label("a", 1.0),)


def test_scores_are_the_cosines_of_texts_and_picture(encoder: TextEncoder, bundle: Path) -> None:
    picture = np.random.default_rng(5).standard_normal(DIM).astype(np.float32) * 9
    vectors = encoder.embed(NAMES)
    cosines = vectors @ picture / np.linalg.norm(vectors, axis=1) / np.linalg.norm(picture)
    expected = sorted(zip(NAMES, cosines.tolist(), strict=True), key=lambda pair: -pair[1])[:5]
    found = loaded(bundle).top(picture)
    assert [label.name for label in found] == [name for name, _ in expected]
    assert [label.score for label in found] == pytest.approx([cosine for _, cosine in expected], abs=2e-6)


def test_a_label_is_nearest_to_its_own_text(encoder: TextEncoder, bundle: Path) -> None:
    labels = loaded(bundle)
    for name, vector in zip(NAMES, encoder.embed(NAMES), strict=True):
        # The tokenizer does not tell capitals from small letters, so "CAT" is "cat", which comes first.
        assert labels.top(vector)[0] == Label(name.replace("CAT", "cat"), 1.0)


def test_baked_labels_load_again(bundle: Path) -> None:
    labels = loaded(bundle)
    assert labels.names == NAMES
    assert labels.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(labels.vectors, axis=1), 1, rtol=1e-6)
    assert json.loads((bundle / NAMES_FILE).read_text("utf-8"))["template"] == "{}"


def test_a_template_is_put_around_each_label(encoder: TextEncoder, tmp_path: Path) -> None:
    labels = load_labels(tmp_path, bake_labels(["cat", "{}"], encoder, tmp_path, "a {} is a {}"), DIM)
    assert isinstance(labels, TextLabels)
    wanted = encoder.embed(["a cat is a cat", "a {} is a {}"])
    np.testing.assert_allclose(labels.vectors, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), rtol=1e-5)
    assert labels.names == ("cat", "{}")


def test_a_template_without_a_placeholder_is_refused(encoder: TextEncoder, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"has no placeholder \{\} for the label"):
        bake_labels(["cat"], encoder, tmp_path, "a photo of a cat")
    assert not list(tmp_path.iterdir())


def test_a_label_with_a_zero_vector_is_refused(text_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / TOKENIZER_FILE).symlink_to(text_bundle / TOKENIZER_FILE)
    make_tower(gain=0).write(tmp_path / GRAPH_FILE)
    into = tmp_path / "bundle"
    into.mkdir()
    with pytest.raises(OperatorError, match="a zero vector for the label 'cat'"):
        bake_labels(["cat"], load(tmp_path, SPEC, DIM), into)
    assert not list(into.iterdir())


def test_labels_that_have_no_vector_are_refused(text_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / TOKENIZER_FILE).symlink_to(text_bundle / TOKENIZER_FILE)
    tower = make_tower()
    tower.tokens[2368] = np.nan  # cat
    tower.write(tmp_path / GRAPH_FILE)
    with pytest.raises(OperatorError, match=r"the label 'cat' cannot be embedded.*NaNs"):
        bake_labels(["dog", "cat"], load(tmp_path, SPEC, DIM), tmp_path)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("cat\ndog\n", ("cat", "dog")),
        ("cat\r\ndog", ("cat", "dog")),
        ("\ufeffcat\n\n  dog \t\n\u3000\n", ("cat", "dog")),
        ("b\na\nb\n b\na", ("b", "a")),
        ("Cat\ncat", ("Cat", "cat")),
        ("# not a comment\n#1", ("# not a comment", "#1")),
        ("sunset on a beach\n猫\n🐈", ("sunset on a beach", "猫", "🐈")),
        ("one\x0cline\u2028only", ("one\x0cline\u2028only",)),
    ],
)
def test_a_file_of_labels_has_one_a_line(tmp_path: Path, content: str, names: tuple[str, ...]) -> None:
    assert read_labels(write(tmp_path / "labels.txt", content)) == names


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "has no labels"),
        (" \n\n", "has no labels"),
        (b"caf\xe9", "not UTF-8 (byte 3)"),
        ("cat\n" + "x" * 201, "line 2: the label has 201 characters"),
    ],
)
def test_what_is_no_file_of_labels_is_refused(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(OperatorError) as caught:
        read_labels(write(tmp_path / "labels.txt", content))
    assert says in str(caught.value)


def test_an_absent_file_of_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="No such file"):
        read_labels(tmp_path / "labels.txt")


@pytest.mark.parametrize("name", [NAMES_FILE, VECTORS_FILE])
@pytest.mark.parametrize("damage", ["absent", "cut", "another file"])
def test_labels_that_are_not_the_bundles_own_are_refused(
    bundle: Path, encoder: TextEncoder, tmp_path: Path, name: str, damage: str
) -> None:
    spec = vouched(bundle)
    whole = (bundle / name).read_bytes()
    (tmp_path / "other").mkdir()
    bake_labels(NAMES[::-1], encoder, tmp_path / "other")
    if damage == "absent":
        (bundle / name).unlink()
    else:
        write(bundle / name, whole[:-1] if damage == "cut" else (tmp_path / "other" / name).read_bytes())
    assert str(bundle / name) in refusal(bundle, spec=spec)


def test_a_bundle_loads_no_labels_that_model_json_does_not_name(bundle: Path, tmp_path: Path) -> None:
    plain = write_tiny_bundle(tmp_path / "plain")
    for name in (NAMES_FILE, VECTORS_FILE):
        (plain / name).write_bytes((bundle / name).read_bytes())
    assert load_encoder(plain).labels is None


def test_labels_of_another_dimension_are_refused(bundle: Path) -> None:
    assert "float32 [7, 24], not float32 [7, 512]" in refusal(bundle, 512)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"names": "catdogs"}, "does not hold names of labels"),
        ({"names": [1, 2, 3, 4, 5, 6, 7]}, "does not hold names of labels"),
        ({"names": ["cat"]}, "float32 [7, 24], not float32 [1, 24]"),
    ],
)
def test_names_that_do_not_fit_are_refused(bundle: Path, changes: dict[str, Any], says: str) -> None:
    fields = json.loads((bundle / NAMES_FILE).read_text("utf-8"))
    write(bundle / NAMES_FILE, json.dumps(fields | changes))
    assert says in refusal(bundle)


@pytest.mark.parametrize("content", ["", "{}", "[]", "<html>", "5", "null"])
def test_what_is_no_list_of_names_is_refused(bundle: Path, content: str) -> None:
    write(bundle / NAMES_FILE, content)
    assert "does not hold names of labels" in refusal(bundle)


def test_a_pickle_is_never_opened(bundle: Path) -> None:
    np.save(bundle / VECTORS_FILE, np.array([print], dtype=object), allow_pickle=True)
    assert "does not hold vectors of labels" in refusal(bundle)
