"""What a picture shows: the labels of a bundle whose texts lie nearest to the picture's vector.

The labels' vectors were made when the bundle was baked, so no text tower is needed here.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from handler.errors import BundleError

NAMES_FILE = "labels.json"
VECTORS_FILE = "labels.npy"
FORMAT = 1
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


def load_labels(bundle: Path, embedding_dim: int) -> Labels | None:
    """Load a bundle's labels; None where it has none.

    Raises:
        BundleError: a file is absent or damaged, or they are not of the same bake.
    """
    names_path, vectors_path = bundle / NAMES_FILE, bundle / VECTORS_FILE
    if not names_path.exists() and not vectors_path.exists():
        return None
    try:
        fields: dict[str, Any] = orjson.loads(names_path.read_bytes())
        data = vectors_path.read_bytes()
        if fields["format"] != FORMAT:
            raise BundleError(f"{names_path} is of version {fields['format']}, not {FORMAT}; bake the bundle again")
        if hashlib.sha256(data).hexdigest() != fields["sha256"]:
            raise BundleError(f"{vectors_path} is not the file that {NAMES_FILE} describes; bake the bundle again")
        names, vectors = _read_names(fields["names"]), _read_vectors(data)
    except OSError as error:
        raise BundleError(f"{error.filename} cannot be read ({error.strerror}); bake the bundle again") from None
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{names_path} and {VECTORS_FILE} are not labels ({error!r}); bake the bundle again"
        ) from None
    if vectors.dtype != np.float32 or vectors.shape != (len(names), embedding_dim):
        found = f"{vectors.dtype} {list(vectors.shape)}"
        raise BundleError(f"{vectors_path} holds {found}, not float32 [{len(names)}, {embedding_dim}]; bake it again")
    return Labels(names, vectors)


def _read_names(names: list[str]) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("names is not a list of texts")
    return tuple(names)


def _read_vectors(data: bytes) -> Vectors:
    # Not np.load, which opens archives too.
    vectors: Vectors = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return vectors
