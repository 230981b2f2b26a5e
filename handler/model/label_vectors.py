"""Vectors for labels of a classifier: where objects with these labels lie."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from handler.errors import BundleError
from handler.frozen import frozen
from handler.model.class_labels import ClassLabels, load_class_labels
from handler.model.labels import read_label_names
from handler.model.spec import ClassLabelsSpec, load_spec


@frozen
class LabelVectors:
    """The classifier of a bundle.

    Attributes:
        classifier: its layer, and which classes each label has.
    """

    classifier: ClassLabels

    def of(self, labels: Collection[str]) -> list[float]:
        """The mean of the classifier's normalised rows of all classes of some labels: (embedding_dim,) floats."""
        pairs = self.classifier.pairs
        wanted = [number for number, name in enumerate(self.classifier.names) if name in labels]
        rows = self.classifier.layer[np.unique(pairs[np.isin(pairs[:, 0], wanted), 1]), :-1]
        units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        numbers: list[float] = units.mean(axis=0).tolist()
        return numbers


def load_label_vectors(bundle: Path) -> LabelVectors:
    """Load the classifier of a bundle.

    Raises:
        BundleError: the bundle has no classifier, or its files are damaged.
    """
    spec = load_spec(bundle)
    if not isinstance(spec.labels, ClassLabelsSpec):
        raise BundleError(f"{bundle} has no classifier; bake the bundle again")
    names = read_label_names(bundle, spec.labels)
    return LabelVectors(load_class_labels(bundle, spec.labels, names, spec.embedding_dim))
