"""Labels with text vectors: the nearest ones of an image, by cosine."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from handler.errors import BundleError
from handler.frozen import frozen
from handler.model.bundle_files import check_bytes
from handler.model.labels import Label
from handler.model.spec import TextLabelsSpec

TOP = 5

Vectors = npt.NDArray[np.float32]


@frozen
class TextLabels:
    """Labels and their text vectors.

    Attributes:
        names: in the order of their file.
        vectors: float32 (len(names), embedding_dim), each of length 1.
    """

    names: tuple[str, ...]
    vectors: Vectors

    @property
    def most(self) -> int:
        """How many labels an image can have."""
        return min(TOP, len(self.names))

    def top(self, vector: npt.NDArray[np.floating]) -> tuple[Label, ...]:
        """The five nearest labels, or all if there are fewer, best first; equal ones in the order of the file.

        Args:
            vector: an image's (embedding_dim,), of any length; if it is all zeros, every label has score 0.
        """
        length = float(np.linalg.norm(vector.astype(np.float64)))
        unit = (vector / (length or 1.0)).astype(np.float32)
        # Not a BLAS product: that one wakes threads for a millisecond's work, and may sum equal rows in unequal orders.
        scores = np.einsum("ij,j->i", self.vectors, unit)
        order = np.argsort(-scores, kind="stable")[:TOP]
        return tuple(Label(self.names[index], round(float(scores[index]), 6) + 0.0) for index in order)


def load_text_labels(bundle: Path, spec: TextLabelsSpec, names: tuple[str, ...], embedding_dim: int) -> TextLabels:
    """Load the vectors of a bundle's labels.

    Raises:
        BundleError: the file is absent or not what `spec` says.
    """
    check_bytes(bundle, spec.vectors)
    path = bundle / spec.vectors.name
    try:
        # Not np.load, which opens archives too.
        vectors: Vectors = np.lib.format.read_array(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except ValueError as error:
        raise BundleError(f"{path} does not hold vectors of labels ({error!r}); bake the bundle again") from None
    if vectors.dtype != np.float32 or vectors.shape != (len(names), embedding_dim):
        found = f"{vectors.dtype} {list(vectors.shape)}"
        raise BundleError(f"{path} holds {found}, not float32 [{len(names)}, {embedding_dim}]; bake the bundle again")
    return TextLabels(names, vectors)
