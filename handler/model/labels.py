"""What a picture shows: the labels of a bundle whose texts lie nearest to the picture's vector.

The labels' vectors were made when the bundle was baked, so no text tower is needed here.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from handler.errors import BundleError
from handler.model.prepared import check_bytes
from handler.model.spec import LabelsSpec

TOP = 5

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Label:
    """One label of a picture; `score` is the raw cosine of its text and the picture, -1 to 1, to six decimals."""

    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Labels:
    """A bundle's labels.

    Attributes:
        names: in the order of their file.
        vectors: float32 (len(names), embedding_dim), each of length 1.
    """

    names: tuple[str, ...]
    vectors: Vectors

    def top(self, vector: npt.NDArray[np.floating]) -> tuple[Label, ...]:
        """The nearest labels, best first: five, or all where there are fewer; of equal ones the earlier first.

        Args:
            vector: a picture's (embedding_dim,), of any length; to one of zeros every label has score 0.
        """
        length = float(np.linalg.norm(vector.astype(np.float64)))
        unit = (vector / (length or 1.0)).astype(np.float32)
        # Not a BLAS product: that one wakes threads for a millisecond's work, and may sum equal rows in unequal orders.
        scores = np.einsum("ij,j->i", self.vectors, unit)
        order = np.argsort(-scores, kind="stable")[:TOP]
        return tuple(Label(self.names[index], round(float(scores[index]), 6) + 0.0) for index in order)


def load_labels(bundle: Path, spec: LabelsSpec, embedding_dim: int) -> Labels:
    """Load a bundle's labels.

    Raises:
        BundleError: a file is absent or not what `spec` says.
    """
    for file in (spec.names, spec.vectors):
        check_bytes(bundle, file)
    path = bundle / spec.vectors.name
    try:
        names = _read_names(orjson.loads((bundle / spec.names.name).read_bytes())["names"])
        vectors = _read_vectors(path.read_bytes())
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{spec.names.name} and {path} are not labels ({error!r}); bake the bundle again") from None
    if vectors.dtype != np.float32 or vectors.shape != (len(names), embedding_dim):
        found = f"{vectors.dtype} {list(vectors.shape)}"
        raise BundleError(f"{path} holds {found}, not float32 [{len(names)}, {embedding_dim}]; bake the bundle again")
    return Labels(names, vectors)


def _read_names(names: list[str]) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("names is not a list of texts")
    return tuple(names)


def _read_vectors(data: bytes) -> Vectors:
    # Not np.load, which opens archives too.
    vectors: Vectors = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return vectors
