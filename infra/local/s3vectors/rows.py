"""The vectors of one index as a growing matrix, and the exact distances of all of them to a query."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from infra.local.s3vectors.errors import ValidationError

Vector = NDArray[np.float32]
Distances = NDArray[np.float32]
Matrix = NDArray[np.float32]

COSINE = "cosine"
METRICS = ("euclidean", COSINE)
_FIRST_CAPACITY = 64
_NUMBERS = {int, float}


def to_vector(values: Sequence[object], dimension: int, metric: str) -> Vector:
    """A vector as the service keeps it: [dimension] float32.

    The rules hold for the converted numbers: 1e39 is infinite, and 1e-46 zero.

    Raises:
        ValidationError: it has another length, numbers that are not finite, or no direction under cosine.
    """
    if len(values) != dimension:
        raise ValidationError(f"vector must have length {dimension}, but has length {len(values)}")
    if not set(map(type, values)) <= _NUMBERS:
        raise ValidationError("vector contains values that are not numbers")
    with np.errstate(over="ignore"):
        vector = np.array(values, dtype=np.float64).astype(np.float32)
    if not np.isfinite(vector).all():
        raise ValidationError("vector contains NaNs or Infs")
    if metric == COSINE and not vector.any():
        raise ValidationError("cosine distance does not support vectors with zero norm")
    return vector


class Rows:
    """Vectors by row number.

    Under cosine it keeps them as given and with length 1, so that a query is one product of a matrix and a vector.

    Args:
        dimension: of each vector.
        metric: `cosine` or `euclidean`.
    """

    def __init__(self, dimension: int, metric: str) -> None:
        self._metric = metric
        self._size = 0
        self._given: Matrix = np.empty((_FIRST_CAPACITY, dimension), np.float32)
        self._unit: Matrix = np.empty_like(self._given) if metric == COSINE else self._given

    def __len__(self) -> int:
        return self._size

    def append(self, vector: Vector) -> int:
        """Add a vector [dimension]; returns its row."""
        if self._size == len(self._given):
            self._grow()
        self._size += 1
        self.replace(self._size - 1, vector)
        return self._size - 1

    def replace(self, row: int, vector: Vector) -> None:
        """Overwrite the vector of a row."""
        self._given[row] = vector
        if self._metric == COSINE:
            self._unit[row] = _unit(vector)

    def remove(self, row: int) -> None:
        """Remove a vector; the last one takes its row."""
        self._size -= 1
        self._given[row] = self._given[self._size]
        self._unit[row] = self._unit[self._size]

    def vector(self, row: int) -> Vector:
        """A copy of the vector of a row, as it was given: [dimension]."""
        vector: Vector = self._given[row].copy()
        return vector

    def distances(self, query: Vector) -> Distances:
        """The distance of each row to a query [dimension]: [rows], float32.

        Cosine is 1 - cosine similarity, between 0 and 2. Euclidean is the straight-line distance.
        """
        distances: Distances
        if self._metric == COSINE:
            similarities = self._unit[: self._size] @ _unit(query)
            distances = np.clip(1 - similarities, 0, 2)
        else:
            differences = self._given[: self._size].astype(np.float64) - query
            distances = np.sqrt(np.einsum("ij,ij->i", differences, differences)).astype(np.float32)
        return distances

    def _grow(self) -> None:
        shared = self._unit is self._given
        self._given = _doubled(self._given)
        self._unit = self._given if shared else _doubled(self._unit)


def _doubled(matrix: Matrix) -> Matrix:
    larger = np.empty((2 * len(matrix), matrix.shape[1]), np.float32)
    larger[: len(matrix)] = matrix
    return larger


def _unit(vector: Vector) -> Vector:
    wide = vector.astype(np.float64)
    unit: Vector = (wide / np.linalg.norm(wide)).astype(np.float32)
    return unit
