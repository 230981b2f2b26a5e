"""The labels of a classifier: each is one of its classes, or a word for several of them.

The classifier is one linear layer with softmax, the one that the model was trained with. A label's score is the sum of
the probabilities of its classes. The constants and the temperature of EfficientNet-Lite0 were chosen with
`tests/bench/words.py`.
"""

import mmap
from pathlib import Path

import numpy as np
import numpy.typing as npt

from handler.errors import BundleError
from handler.frozen import frozen
from handler.model.bundle_files import check_bytes, check_sample
from handler.model.labels import Label
from handler.model.spec import ClassLabelsSpec

# A label is kept if its score is at least this, or if it is the own label of one of the most likely classes and not
# next to impossible.
LEAST_SCORE = 0.1
TOP_CLASSES, LEAST_TOP_SCORE = 5, 0.001
# An index of Amazon S3 Vectors holds 2 KB of metadata for an image, its labels among them.
MOST_LABELS = 32
# CPUs of different kinds sum in different orders; so few decimals make nearly all of them write the same.
DECIMALS = 4

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.uint16]


@frozen
class ClassLabels:
    """The labels of a classifier.

    Attributes:
        names: in the order of their file.
        layer: float32 (classes, embedding_dim + 1): the weights of each class, and its bias in the last column.
        temperature: what the logits are divided by.
        pairs: (N, 2), each a label and one of its classes, as indices. The first rows are each class in order and its
            own label.
        bits: float64 (labels,): the information in a label, log2(classes / classes of the label).
    """

    names: tuple[str, ...]
    layer: Floats
    temperature: float
    pairs: Indices
    bits: npt.NDArray[np.float64]

    @property
    def most(self) -> int:
        """How many labels an image can have."""
        return min(MOST_LABELS, len(self.names))

    def top(self, vector: npt.NDArray[np.floating]) -> tuple[Label, ...]:
        """The labels of an image, the most informative first.

        The order is by probability times information (Deng, Krause, Berg and Fei-Fei, "Hedging your bets", CVPR 2012):
        a label that is nearly certain and still specific comes before a mere "animal", and before an unlikely breed.

        Args:
            vector: the image's (embedding_dim,), not normalised.
        """
        probabilities = self.probabilities(vector)
        scores = self.scores(probabilities)
        likely = np.zeros(len(scores), dtype=bool)
        likely[self.pairs[np.argsort(-probabilities, kind="stable")[:TOP_CLASSES], 0]] = True
        chosen = np.flatnonzero((scores >= LEAST_SCORE) | (likely & (scores >= LEAST_TOP_SCORE)))
        order = chosen[np.argsort(-(scores * self.bits)[chosen], kind="stable")][:MOST_LABELS]
        return tuple(Label(self.names[index], round(float(scores[index]), DECIMALS)) for index in order)

    def probabilities(self, vector: npt.NDArray[np.floating]) -> Floats:
        """The probability of each class: float32 (classes,), of sum 1."""
        # Not a BLAS product: that one wakes threads for a millisecond's work.
        logits = np.einsum("ij,j->i", self.layer[:, :-1], vector.astype(np.float32)) + self.layer[:, -1]
        powers = np.exp((logits - logits.max()) / np.float32(self.temperature))
        probabilities: Floats = powers / powers.sum()
        return probabilities

    def scores(self, probabilities: Floats) -> npt.NDArray[np.float64]:
        """The probability of each label: float64 (labels,)."""
        summed = np.bincount(self.pairs[:, 0], probabilities[self.pairs[:, 1]], len(self.bits))
        return np.minimum(summed, 1)  # float32 sums may be above 1 by a few millionths


def load_class_labels(bundle: Path, spec: ClassLabelsSpec, names: tuple[str, ...], embedding_dim: int) -> ClassLabels:
    """Load the classifier of a bundle; its weights are mapped, not read.

    Raises:
        BundleError: a file is absent or not what `spec` says.
    """
    check_sample(bundle, spec.classifier)
    check_bytes(bundle, spec.classes)
    with (bundle / spec.classifier.name).open("rb") as file:
        weights = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), "<f4")
    pairs = np.frombuffer((bundle / spec.classes.name).read_bytes(), "<u2")
    try:
        layer, pairs = weights.reshape(-1, embedding_dim + 1), pairs.reshape(-1, 2)
        return ClassLabels(names, layer, spec.temperature, pairs, _bits(pairs, len(names), len(layer)))
    except ValueError as error:
        raise BundleError(
            f"{spec.classifier.name} and {spec.classes.name} in {bundle} are not the classifier and the classes of "
            f"{len(names)} labels ({error}); bake the bundle again"
        ) from None


def _bits(pairs: Indices, labels: int, classes: int) -> npt.NDArray[np.float64]:
    """The information in each label.

    Raises:
        ValueError: the pairs are not of so many labels and classes.
    """
    sizes = np.bincount(pairs[:, 0], minlength=labels)
    if len(sizes) != labels or not sizes.all():
        raise ValueError(f"the pairs are of {np.count_nonzero(sizes)} labels")
    if not np.array_equal(pairs[:classes, 1], np.arange(classes)) or pairs[:, 1].max() >= classes:
        raise ValueError(f"the pairs do not begin with the own labels of {classes} classes")
    bits: npt.NDArray[np.float64] = np.log2(classes / sizes)
    return bits
