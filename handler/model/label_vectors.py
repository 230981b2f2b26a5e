"""A vector for labels of a classifier: where objects with these labels lie."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handler.errors import BundleError
from handler.model.class_labels import load_class_labels
from handler.model.labels import read_label_names
from handler.model.spec import ClassLabelsSpec, load_spec


def load_label_vector(bundle: Path, labels: Sequence[str]) -> list[float]:
    """The mean of the classifier's normalised rows of all classes of some labels: (embedding_dim,) floats.

    Raises:
        BundleError: the bundle has no classifier, or its files are damaged.
    """
    spec = load_spec(bundle)
    if not isinstance(spec.labels, ClassLabelsSpec):
        raise BundleError(f"{bundle} has no classifier; bake the bundle again")
    names = read_label_names(bundle, spec.labels)
    classifier = load_class_labels(bundle, spec.labels, names, spec.embedding_dim)
    wanted = [number for number, name in enumerate(names) if name in labels]
    classes = np.unique(classifier.pairs[np.isin(classifier.pairs[:, 0], wanted), 1])
    rows = classifier.layer[classes, :-1]
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    numbers: list[float] = units.mean(axis=0).tolist()
    return numbers
