"""The classifier of a model and the table of words for its classes -> the labels of a bundle."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handler.model.bundle_files import sample_sha256
from handler.model.spec import BundleFile, ClassLabelsSpec
from infra.bake.efficientnet_lite import classifier
from infra.bake.manifest import ClassLabels
from infra.bake.torchfile import TorchFileError, read_state_dict
from infra.bake.words.table import read_table
from infra.bake.words.vocabulary import ClassVocabulary, vocabulary_of
from infra.common.errors import OperatorError
from infra.common.hashing import file_sha256

NAMES_FILE, WORDS_FILE = "labels.json", "words.json"
CLASSES_FILE, CLASSIFIER_FILE = "label-classes.u16", "classifier.f32"


def bake_class_labels(labels: ClassLabels, folder: Path, weights: Path, bundle: Path) -> ClassLabelsSpec:
    """Write the labels, their words and the classifier into a bundle's directory.

    Args:
        labels: what the manifest says of them.
        folder: the manifest's.
        weights: the file with the classifier, a state dict in torch's old format.
        bundle: a directory that is not in use yet.

    Returns:
        The files, as `model.json` describes them.

    Raises:
        OperatorError: the table is absent or not the one that was pinned, or is not of the classifier's classes.
        OSError: the directory cannot be written.
    """
    vocabulary, layer = _vocabulary(labels, folder), _layer(weights)
    if vocabulary.classes != len(layer):
        raise OperatorError(f"{labels.table} has {vocabulary.classes} classes, and the classifier {len(layer)}")
    return write_class_labels(vocabulary, layer, labels.temperature, bundle)


def write_class_labels(
    vocabulary: ClassVocabulary, layer: npt.NDArray[np.float32], temperature: float, bundle: Path
) -> ClassLabelsSpec:
    """Write the files of a bundle's labels.

    Args:
        vocabulary: the labels and the words that find them.
        layer: the classifier, float32 [classes, embedding_dim + 1], the bias in the last column.
        temperature: what the logits are divided by.
        bundle: the directory.
    """
    classifier_path = bundle / CLASSIFIER_FILE
    classifier_path.write_bytes(layer.astype("<f4").tobytes())
    return ClassLabelsSpec(
        names=_written(bundle / NAMES_FILE, _json({"names": vocabulary.names})),
        words=_written(bundle / WORDS_FILE, _json({"words": vocabulary.words})),
        classes=_written(bundle / CLASSES_FILE, np.array(vocabulary.pairs, "<u2").tobytes()),
        classifier=BundleFile(CLASSIFIER_FILE, classifier_path.stat().st_size, sample_sha256(classifier_path)),
        temperature=temperature,
    )


def _vocabulary(labels: ClassLabels, folder: Path) -> ClassVocabulary:
    path = folder / labels.table
    rows = read_table(path)
    if file_sha256(path) != labels.sha256:
        raise OperatorError(f"{path} is not the table that the manifest pins: its sha256 is {file_sha256(path)}")
    return vocabulary_of(rows)


def _layer(path: Path) -> npt.NDArray[np.float32]:
    try:
        return classifier(read_state_dict(path))
    except TorchFileError as error:
        raise OperatorError(f"{error}; remove it and bake again") from None
    except (LookupError, ValueError) as error:
        raise OperatorError(f"{path.name} does not hold the classifier of efficientnet-lite0: {error}") from None


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8")


def _written(path: Path, data: bytes) -> BundleFile:
    path.write_bytes(data)
    return BundleFile(path.name, len(data), hashlib.sha256(data).hexdigest())
