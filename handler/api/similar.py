"""Near-duplicates among the hits of a page. Imported only where a request asks for them, for numpy's sake."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from handler.api.hits import Hit
from handler.api.vectors import Numbers


def fold_duplicates(hits: Sequence[Hit], vectors: Mapping[str, Numbers], least_cosine: float) -> list[Hit]:
    """Keep the best hit of each group of similar ones; `duplicates` counts those that it replaces.

    Args:
        hits: best first.
        vectors: by key; a hit whose vector is gone meanwhile is like no other.
        least_cosine: how similar two vectors must be at least.
    """
    dimension = max(map(len, vectors.values()), default=1)
    rows = np.array([vectors.get(hit.key, [0.0] * dimension) for hit in hits], dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = (units := rows / np.where(lengths == 0, np.float32(1), lengths)) @ units.T
    kept: list[int] = []
    replaced = [0] * len(hits)
    for number in range(len(hits)):
        first = next((other for other in kept if cosines[number, other] >= least_cosine), None)
        if first is None:
            kept.append(number)
        else:
            replaced[first] += 1
    return [replace(hits[number], duplicates=replaced[number]) for number in kept]
