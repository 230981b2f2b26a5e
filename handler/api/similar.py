"""Near-duplicates among the hits of a page. Imported only if a request asks for them: numpy is slow to import."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from handler.api.hits import Hit
from handler.api.vectors import Numbers

# Cosines of float32 vectors are less exact than this: two equal vectors may have one of 0.9999999.
ROUNDING = 1e-6


def fold_duplicates(hits: Sequence[Hit], vectors: Mapping[str, Numbers], least_cosine: float) -> list[Hit]:
    """Keep the best hit of each group of similar ones; `duplicates` counts those that it replaces.

    Args:
        hits: best first.
        vectors: by key; a hit whose vector was deleted meanwhile stays.
        least_cosine: how similar two vectors must be at least.
    """
    known = [number for number, hit in enumerate(hits) if hit.key in vectors]
    rows = np.array([vectors[hits[number].key] for number in known], dtype=np.float32)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True) if known else rows
    replaced = dict.fromkeys(range(len(hits)), 0)
    kept: list[int] = []
    for row, number in enumerate(known):
        cosines = units[kept] @ units[row] if kept else np.empty(0)
        similar = np.flatnonzero(cosines >= least_cosine - ROUNDING)
        if len(similar):
            replaced[known[kept[similar[0]]]] += 1
            del replaced[number]
        else:
            kept.append(row)
    return [replace(hits[number], duplicates=count) for number, count in replaced.items()]
