"""The labels of a classifier: which ones an image gets, in which order, with which probabilities."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from handler.errors import BundleError
from handler.model.bundle_files import sample_sha256
from handler.model.class_labels import DECIMALS, LEAST_SCORE, LEAST_TOP_SCORE, MOST_LABELS, ClassLabels
from handler.model.encoder import load_encoder
from handler.model.labels import Label, load_labels
from handler.model.spec import BundleFile, ClassLabelsSpec
from infra.bake.words.table import Row
from infra.common.hashing import file_sha256
from tests.support.bundles import DIM as TINY_DIM
from tests.support.bundles import write_tiny_bundle
from tests.support.class_bundles import CLASSES, add_class_labels, layer_of, write_labels

DIM = 8

Pairs = npt.NDArray[np.integer[Any]]
Change = Callable[[Pairs], Pairs]


def loaded(folder: Path, spec: ClassLabelsSpec, dim: int = DIM) -> ClassLabels:
    labels = load_labels(folder, spec, dim)
    assert isinstance(labels, ClassLabels)
    return labels


@pytest.fixture
def labels(tmp_path: Path) -> ClassLabels:
    return loaded(tmp_path, write_labels(tmp_path, layer_of(DIM)))


def vector_for(*probabilities: float) -> npt.NDArray[np.float32]:
    """A vector to which `layer_of` gives these probabilities."""
    return np.append(np.log(probabilities), np.zeros(DIM - CLASSES)).astype(np.float32)


def scores(labels: ClassLabels, *probabilities: float) -> dict[str, float]:
    return {label.name: label.score for label in labels.top(vector_for(*probabilities))}


def test_a_label_has_the_probability_of_all_its_classes(labels: ClassLabels) -> None:
    assert scores(labels, 0.4, 0.1, 0.15, 0.05, 0.2, 0.1) == {
        "tabby": 0.4,
        "Egyptian cat": 0.1,
        "pug": 0.15,
        "crane": 0.25,
        "radio": 0.1,
        "cat": 0.5,
        "animal": 0.7,
        "device": 0.3,
    }


def test_the_weights_and_the_biases_make_the_logits(tmp_path: Path) -> None:
    noise = np.random.default_rng(1)
    layer = noise.standard_normal((CLASSES, DIM + 1)).astype(np.float32)
    found = loaded(tmp_path, write_labels(tmp_path, layer, temperature=0.7))
    for vector in noise.standard_normal((20, DIM)):
        logits = (layer[:, :-1].astype(np.float64) @ vector + layer[:, -1]) / 0.7
        expected = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(found.probabilities(vector), expected, rtol=1e-5)


def test_certain_and_specific_labels_come_first(labels: ClassLabels) -> None:
    # 0.5 x log2(6) < 0.97 x log2(6 / 2), and 0.98 x log2(6 / 4) is less than both.
    found = labels.top(vector_for(0.5, 0.47, 0.005, 0.005, 0.01, 0.01))
    assert [label.name for label in found][:4] == ["cat", "tabby", "Egyptian cat", "animal"]
    assert labels.top(vector_for(0.9, 0.05, 0.02, 0.01, 0.01, 0.01))[0] == Label("tabby", 0.9)


def test_unlikely_labels_are_left_out_but_for_the_likeliest_classes(tmp_path: Path) -> None:
    rows = [Row(f"n{number}", number, (f"m{number}",), (f"class {number}",)) for number in range(8)]
    rows += [Row(f"m{number}", None, ("top",), (f"pair {number}",)) for number in range(8)]
    rows += [Row("top", None, (), ("everything",))]
    found = loaded(tmp_path, write_labels(tmp_path, np.eye(8, 9, dtype=np.float32), rows), 8)
    names = [label.name for label in found.top(vector_of([0.9, 0.05, 0.03, 0.01, 0.0055, 0.003, 0.001, 0.0005]))]
    assert sorted(names) == ["class 0", "class 1", "class 2", "class 3", "class 4", "everything"]
    names = [label.name for label in found.top(vector_of([0.999, 0.00095, 1e-5, 1e-5, 1e-5, 1e-5, 1e-6, 1e-6]))]
    assert sorted(names) == ["class 0", "everything"]
    assert LEAST_TOP_SCORE <= 0.001 < LEAST_SCORE


def vector_of(probabilities: list[float]) -> npt.NDArray[np.float32]:
    return np.log(probabilities).astype(np.float32)


def test_an_image_has_a_limited_number_of_labels(tmp_path: Path) -> None:
    # A chain of 40 words above one class; each has one class more than the one below it.
    rows = [Row(f"n{number}", number, (f"m{number}",), (f"class {number}",)) for number in range(41)]
    rows += [
        Row(f"m{number}", None, (f"m{number + 1}",) if number < 40 else (), (f"word {number}",)) for number in range(41)
    ]
    found = loaded(tmp_path, write_labels(tmp_path, np.eye(41, 42, dtype=np.float32), rows), 41)
    vector = np.zeros(41, np.float32)
    vector[0] = 20
    names = [label.name for label in found.top(vector)]
    assert len(names) == MOST_LABELS
    assert names == ["class 0", *(f"word {number}" for number in range(1, MOST_LABELS))], "the most specific ones"


@pytest.mark.parametrize("size", [0, 1e-30, 1, 1e30])
def test_every_finite_vector_has_probabilities(labels: ClassLabels, size: float) -> None:
    vector = np.full(DIM, size, np.float32)
    vector[0] *= -1
    probabilities = labels.probabilities(vector)
    assert np.isfinite(probabilities).all()
    assert probabilities.sum() == pytest.approx(1, abs=1e-6)
    assert all(0 < label.score <= 1 for label in labels.top(vector))


def test_scores_have_few_decimals_and_are_at_most_one(tmp_path: Path) -> None:
    rows = [Row(f"n{number}", number, ("top",), (f"class {number}",)) for number in range(1000)]
    rows.append(Row("top", None, (), ("all",)))
    found = loaded(tmp_path, write_labels(tmp_path, np.eye(1000, 1001, dtype=np.float32), rows), 1000)
    noise = np.random.default_rng(2)
    for _ in range(50):
        for label in found.top(noise.standard_normal(1000) * 5):
            assert label.score == round(label.score, DECIMALS)
            assert label.score <= 1


def test_a_loaded_encoder_has_them(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "tiny")
    before = load_encoder(bundle).spec
    add_class_labels(bundle, layer_of(TINY_DIM))
    encoder = load_encoder(bundle)
    assert isinstance(encoder.labels, ClassLabels)
    assert encoder.labels.names == ("tabby", "Egyptian cat", "pug", "crane", "radio", "cat", "animal", "device")
    assert encoder.spec.fingerprint == before.fingerprint, "labels change no vector"


def test_the_weights_are_mapped_not_read(labels: ClassLabels) -> None:
    assert not labels.layer.flags.owndata
    assert not labels.layer.flags.writeable


# Bundles that are not as they were baked.


@pytest.mark.parametrize("name", ["labels.json", "label-classes.u16", "classifier.f32"])
@pytest.mark.parametrize("damage", ["absent", "cut", "another file"])
def test_a_file_that_is_not_the_bundles_own_is_refused(tmp_path: Path, name: str, damage: str) -> None:
    spec = write_labels(tmp_path, layer_of(DIM))
    whole = (tmp_path / name).read_bytes()
    if damage == "absent":
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(whole[:-1] if damage == "cut" else whole[::-1])
    assert str(tmp_path / name) in refusal(tmp_path, spec)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda pairs: pairs[pairs[:, 0] != 7], "of 7 labels"),
        (lambda pairs: pairs[:3], "of 3 labels"),
        (lambda pairs: np.vstack([pairs, [8, 0]]), "of 9 labels"),
        (lambda pairs: np.vstack([pairs[1:], pairs[:1]]), "own labels of 6 classes"),
        (lambda pairs: np.vstack([pairs, [7, 6]]), "own labels of 6 classes"),
    ],
)
def test_classes_that_do_not_fit_the_labels_are_refused(tmp_path: Path, change: Change, says: str) -> None:
    spec = write_labels(tmp_path, layer_of(DIM))
    path = tmp_path / spec.classes.name
    pairs = np.fromfile(path, "<u2").reshape(-1, 2)
    path.write_bytes(change(pairs).astype("<u2").tobytes())
    assert says in refusal(tmp_path, replace(spec, classes=described(path)))


def test_half_a_pair_is_refused(tmp_path: Path) -> None:
    spec = write_labels(tmp_path, layer_of(DIM))
    path = tmp_path / spec.classes.name
    path.write_bytes(path.read_bytes()[:-2])
    assert "are not the classifier" in refusal(tmp_path, replace(spec, classes=described(path)))


def test_a_classifier_of_other_vectors_is_refused(tmp_path: Path) -> None:
    spec = write_labels(tmp_path, layer_of(DIM))
    assert "are not the classifier" in refusal(tmp_path, spec, dim=DIM + 2)


def test_names_that_are_none_are_refused(tmp_path: Path) -> None:
    spec = write_labels(tmp_path, layer_of(DIM))
    path = tmp_path / spec.names.name
    path.write_text(json.dumps({"names": "catdogs"}), "utf-8")
    assert "does not hold names" in refusal(tmp_path, replace(spec, names=described(path)))


def described(path: Path) -> BundleFile:
    return BundleFile(path.name, path.stat().st_size, file_sha256(path))


def refusal(folder: Path, spec: ClassLabelsSpec, dim: int = DIM) -> str:
    with pytest.raises(BundleError) as caught:
        load_labels(folder, spec, dim)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_hash_of_the_weights_is_that_of_a_sample(tmp_path: Path) -> None:
    spec = write_labels(tmp_path, layer_of(DIM))
    assert spec.classifier.sha256 == sample_sha256(tmp_path / spec.classifier.name)
