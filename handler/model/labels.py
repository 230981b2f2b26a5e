"""The labels of an image, from the labels of a bundle.

There are two kinds. A bundle of a model with a text tower may have any labels: their text vectors were made when it was
baked, and a score is the cosine of the image's vector and a label's (`handler.model.text_labels`). A bundle with a
classifier has the classifier's labels, and a score is a probability (`handler.model.class_labels`). Neither needs the
text tower.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import orjson

from handler.errors import BundleError
from handler.frozen import frozen
from handler.model.bundle_files import check_bytes
from handler.model.spec import ClassLabelsSpec, LabelsSpec


@frozen
class Label:
    """One label of an image.

    Attributes:
        name: the label.
        score: a cosine, -1 to 1, to six decimals; or a probability, to four.
    """

    name: str
    score: float


class Labels(Protocol):
    """A bundle's labels."""

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, in the order of their file."""

    @property
    def most(self) -> int:
        """How many labels an image can have."""

    def top(self, vector: npt.NDArray[np.floating]) -> tuple[Label, ...]:
        """The labels of an image, best first.

        Args:
            vector: the image's (embedding_dim,), not normalised.
        """


def load_labels(bundle: Path, spec: LabelsSpec, embedding_dim: int) -> Labels:
    """Load a bundle's labels.

    Raises:
        BundleError: a file is absent or not what `spec` says.
    """
    names = read_label_names(bundle, spec)
    # Of the two modules only the one that is needed is imported, for the sake of the cold start.
    if isinstance(spec, ClassLabelsSpec):
        from handler.model.class_labels import load_class_labels  # noqa: PLC0415

        return load_class_labels(bundle, spec, names, embedding_dim)
    from handler.model.text_labels import load_text_labels  # noqa: PLC0415

    return load_text_labels(bundle, spec, names, embedding_dim)


def read_label_names(bundle: Path, spec: LabelsSpec) -> tuple[str, ...]:
    """The names of a bundle's labels.

    Raises:
        BundleError: the file is absent or not what `spec` says.
    """
    check_bytes(bundle, spec.names)
    path = bundle / spec.names.name
    try:
        return _read_names(orjson.loads(path.read_bytes())["names"])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path} does not hold names of labels ({error!r}); bake the bundle again") from None


def _read_names(names: list[str]) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("names is not a list of texts")
    return tuple(names)
