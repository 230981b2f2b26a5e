"""A bundle with the labels of the model's own classifier."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from handler.model.class_labels import ClassLabels
from handler.model.encoder import load_encoder
from handler.model.labels import load_labels
from handler.model.vocabulary import load_vocabulary
from infra.bake import bake
from infra.bake.bundle import Options
from infra.bake.class_labels import bake_class_labels
from infra.bake.efficientnet_lite import classifier
from infra.bake.manifest import ClassLabels as Wanted
from infra.bake.manifest_file import read_manifest
from infra.bake.words.table import Row, write_table
from infra.common.errors import OperatorError
from infra.common.hashing import file_sha256
from infra.common.paths import MANIFESTS
from tests.support.manifests import changed_manifest
from tests.support.torch_writer import View, torch_file

QUIET = Options(progress=False)
FINGERPRINT = "6def1ca2cc65238bac789b1b46d5bdf9bc116890bf17b4bbd0a9c2a7b8058371"

Weights = dict[str, npt.NDArray[np.float32]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bake("efficientnet-lite0", tmp_path_factory.mktemp("bake") / "model", QUIET)


@pytest.fixture
def weights() -> Weights:
    noise = np.random.default_rng(3)
    return {
        "_fc.weight": noise.standard_normal((1000, 1280)).astype(np.float32),
        "_fc.bias": noise.standard_normal(1000).astype(np.float32),
    }


def saved(weights: Weights, path: Path) -> Path:
    """A state dict of these weights; the matrix is transposed, as a view."""
    views, flat = {}, {}
    for name, array in weights.items():
        strides = (1, array.shape[0]) if array.ndim == 2 else (1,)
        views[name] = View(name, 0, array.shape, strides)
        flat[name] = np.asfortranarray(array).reshape(-1, order="F")
    path.write_bytes(torch_file(views, flat))
    return path


def written(rows: list[Row], folder: Path, **changes: Any) -> Wanted:
    path = folder / "words.tsv"
    path.write_text(write_table(rows, []), "utf-8")
    wanted = Wanted(path.name, file_sha256(path), "notice.txt", 0.5)
    return replace(wanted, **changes)


def thousand() -> list[Row]:
    rows = [Row(f"n{number:08}", number, ("top",), (f"class {number}",)) for number in range(1000)]
    return [*rows, Row("top", None, (), ("everything",))]


def test_the_embedded_model_has_labels_and_words(bundle: Path) -> None:
    labels, vocabulary = load_encoder(bundle).labels, load_vocabulary(bundle)
    assert isinstance(labels, ClassLabels)
    assert vocabulary is not None
    assert labels.names == vocabulary.names
    assert labels.layer.shape == (1000, 1281)
    assert vocabulary.labels_of("Musical_Instrument") == ("musical instrument",)


def test_labels_do_not_change_the_fingerprint(bundle: Path, tmp_path: Path) -> None:
    text = (MANIFESTS / "efficientnet-lite0.toml").read_text("utf-8")
    without = changed_manifest(tmp_path / "models", text[text.index("[labels]") :])
    plain = load_encoder(bake(str(without), tmp_path / "plain", QUIET))
    assert plain.labels is None
    assert load_vocabulary(plain.bundle) is None
    assert plain.spec.fingerprint == load_encoder(bundle).spec.fingerprint == FINGERPRINT


def test_the_licence_of_the_words_is_in_the_bundle(bundle: Path) -> None:
    licence = (bundle / "LICENSE").read_text("utf-8")
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in licence
    assert licence.index("ML Illustrated") < licence.index("WordNet")


def test_the_files_hold_the_classifier_and_the_table(weights: Weights, tmp_path: Path) -> None:
    path = saved(weights, tmp_path / "weights.pth")
    spec = bake_class_labels(written(thousand(), tmp_path), tmp_path, path, tmp_path)
    labels = load_labels(tmp_path, spec, 1280)
    assert isinstance(labels, ClassLabels)
    np.testing.assert_array_equal(labels.layer[:, :-1], weights["_fc.weight"])
    np.testing.assert_array_equal(labels.layer[:, -1], weights["_fc.bias"])
    assert labels.temperature == 0.5
    assert labels.names == (*(f"class {number}" for number in range(1000)), "everything")
    vector = 20 * weights["_fc.weight"][7] / np.linalg.norm(weights["_fc.weight"][7])
    assert labels.top(vector)[0].name == "class 7"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda weights: weights.pop("_fc.bias"), "does not hold the classifier"),
        (lambda weights: weights.update({"_fc.bias": np.zeros(999, np.float32)}), "(999,)"),
        (lambda weights: weights.update({"_fc.weight": np.zeros((1000, 1281), np.float32)}), "(1000, 1281)"),
    ],
)
def test_another_classifier_is_refused(
    weights: Weights, tmp_path: Path, change: Callable[[Weights], object], says: str
) -> None:
    change(weights)
    path = saved(weights, tmp_path / "weights.pth")
    assert says in refusal(written(thousand(), tmp_path), path)


def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"<html>")
    assert "remove it and bake again" in refusal(written(thousand(), tmp_path), path)


def test_a_table_of_other_classes_is_refused(weights: Weights, tmp_path: Path) -> None:
    path = saved(weights, tmp_path / "weights.pth")
    wanted = written([Row("n0", 0, (), ("only",))], tmp_path)
    assert "words.tsv has 1 classes, and the classifier 1000" in refusal(wanted, path)


def test_a_table_that_is_not_the_pinned_one_is_refused(weights: Weights, tmp_path: Path) -> None:
    path = saved(weights, tmp_path / "weights.pth")
    assert "not the table that the manifest pins" in refusal(written(thousand(), tmp_path, sha256="0" * 64), path)
    assert "No such file" in refusal(written(thousand(), tmp_path, table="nowhere.tsv"), path)


def refusal(wanted: Wanted, weights: Path) -> str:
    bundle = weights.parent / "bundle"
    bundle.mkdir(exist_ok=True)
    with pytest.raises(OperatorError) as caught:
        bake_class_labels(wanted, weights.parent, weights, bundle)
    assert "\n" not in str(caught.value)
    assert not list(bundle.iterdir())
    return str(caught.value)


def test_the_classifier_is_float32() -> None:
    weights = {"_fc.weight": np.ones((1000, 1280)), "_fc.bias": np.zeros(1000)}
    assert classifier(weights).dtype == np.float32


# The manifest.


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("temperature = 0.65", "temperature = 0", "temperature"),
        ("temperature = 0.65", 'temperature = "warm"', "temperature"),
        ('builder = "efficientnet-lite0"', 'builder = "onnx"', "builder"),
        ('notice = "WordNet-3.0.txt"', "", "notice"),
        ('notice = "WordNet-3.0.txt"', 'notice = "WordNet-3.0.txt"\nwords = "x"', "words"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(OperatorError) as caught:
        read_manifest(changed_manifest(tmp_path, old, new))
    assert says in str(caught.value)


def test_a_missing_notice_is_refused(tmp_path: Path) -> None:
    own = changed_manifest(tmp_path / "models", 'notice = "WordNet-3.0.txt"', 'notice = "nowhere.txt"')
    with pytest.raises(OperatorError, match=r"nowhere\.txt"):
        bake(str(own), tmp_path / "model", QUIET)
    assert not (tmp_path / "model").exists()


def test_labels_of_ones_own_need_a_text_tower(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\n")
    with pytest.raises(OperatorError, match="no text tower"):
        bake("efficientnet-lite0", tmp_path / "model", replace(QUIET, labels=tmp_path / "labels.txt"))


def test_model_json_names_the_files(bundle: Path) -> None:
    labels = json.loads((bundle / "model.json").read_bytes())["labels"]
    assert labels.pop("temperature") == 0.65
    for file in labels.values():
        assert (bundle / file["name"]).stat().st_size == file["bytes"]
    assert set(labels) == {"names", "words", "classes", "classifier"}
