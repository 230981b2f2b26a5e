"""Items of the table as plain Python values, and nearest neighbours among them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Item = dict[str, Any]
Vectors = npt.NDArray[np.float32]

_LITTLE_ENDIAN = {"float32": "<f4", "float16": "<f2"}
_BLOCK = 1024  # rows compared at a time, to limit memory


def plain(item: Mapping[str, Mapping[str, Any]]) -> Item:
    """Convert an item from DynamoDB's wire form to plain values.

    `N` becomes int or float, `BOOL` bool, `S` str, `L` list, `M` dict; `embedding` becomes a float32 array of
    (embedding_dim,).
    """
    values = {name: _value(*next(iter(typed.items()))) for name, typed in item.items()}
    if "embedding" in values:
        dtype = _LITTLE_ENDIAN[values["embedding_dtype"]]
        values["embedding"] = np.frombuffer(values["embedding"], dtype=dtype).astype(np.float32)
    return values


def _value(kind: str, value: Any) -> Any:  # noqa: ANN401 - any type of DynamoDB
    if kind == "N":
        return float(value) if any(mark in value for mark in ".eE") else int(value)
    if kind == "L":
        return [_value(*next(iter(typed.items()))) for typed in value]
    if kind == "M":
        return {name: _value(*next(iter(typed.items()))) for name, typed in value.items()}
    return value


def nearest(items: Sequence[Item]) -> dict[str, tuple[str, float]]:
    """Find the nearest neighbour of each embedded image among those with the same fingerprint.

    Args:
        items: plain items, some without `embedding`.

    Returns:
        `source` to the neighbour's `source` and the cosine; images without another one to compare with are left out.
    """
    groups: dict[str, list[Item]] = {}
    for item in items:
        if "embedding" in item:
            groups.setdefault(item["fingerprint"], []).append(item)
    found: dict[str, tuple[str, float]] = {}
    for group in groups.values():
        if len(group) > 1:
            sources = [item["source"] for item in group]
            closest, cosines = _closest(np.stack([item["embedding"] for item in group]))
            pairs = zip(sources, closest, cosines, strict=True)
            found |= {source: (sources[other], float(cosine)) for source, other, cosine in pairs}
    return found


def _closest(vectors: Vectors) -> tuple[npt.NDArray[np.intp], Vectors]:
    """For each row, the index of the closest other row and the cosine to it."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(lengths == 0, np.float32(1), lengths)
    closest = np.empty(len(units), dtype=np.intp)
    cosines = np.empty(len(units), dtype=np.float32)
    for start in range(0, len(units), _BLOCK):
        block = units[start : start + _BLOCK] @ units.T
        rows = np.arange(len(block))
        block[rows, start + rows] = -np.inf  # not itself
        closest[start : start + _BLOCK] = block.argmax(axis=1)
        cosines[start : start + _BLOCK] = block.max(axis=1)
    return closest, cosines
