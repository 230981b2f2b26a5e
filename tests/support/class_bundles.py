"""Classifiers, vocabularies and the labels of bundles that have them."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from handler.model.spec import ClassLabelsSpec
from infra.bake.class_labels import write_class_labels
from infra.bake.words.table import Row
from infra.bake.words.vocabulary import vocabulary_of

# Six classes; two of them are called "crane", and "lifting device" is above one class only.
ROWS: tuple[Row, ...] = (
    Row("n1", 0, ("n6",), ("tabby", "tabby cat")),
    Row("n2", 1, ("n6",), ("Egyptian cat",)),
    Row("n3", 2, ("n7",), ("pug", "pug-dog")),
    Row("n4", 3, ("n7",), ("crane",)),
    Row("n5", 4, ("n8",), ("crane",)),
    Row("n10", 5, ("n9",), ("radio",)),
    Row("n6", None, ("n7",), ("cat", "true cat")),
    Row("n7", None, (), ("animal", "beast")),
    Row("n8", None, ("n9",), ("lifting device",)),
    Row("n9", None, (), ("device", "gadget")),
)
CLASSES = 6


def layer_of(dim: int, bias: Sequence[float] = (0,) * CLASSES) -> npt.NDArray[np.float32]:
    """A classifier whose logit of class n is number n of the vector, and a bias."""
    return np.column_stack([np.eye(CLASSES, dim), bias]).astype(np.float32)


def write_labels(
    folder: Path, layer: npt.NDArray[np.float32], rows: Sequence[Row] = ROWS, temperature: float = 1
) -> ClassLabelsSpec:
    """Write the files of a classifier's labels into a directory."""
    return write_class_labels(vocabulary_of(rows), layer, temperature, folder)


def add_class_labels(bundle: Path, layer: npt.NDArray[np.float32], rows: Sequence[Row] = ROWS) -> ClassLabelsSpec:
    """Add a classifier's labels to a bundle."""
    spec = write_labels(bundle, layer, rows)
    fields = orjson.loads((bundle / "model.json").read_bytes())
    fields["labels"] = asdict(spec)
    (bundle / "model.json").write_bytes(orjson.dumps(fields))
    return spec
