"""Groups of near-identical pictures, found by comparing every vector with every other one, block by block."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

# Rows and columns of a block: its cosines take 16 MB.
BLOCK = 2048


@dataclass(frozen=True)
class Group:
    """Near-identical pictures.

    Attributes:
        members: their rows; the first is the one that all others of the group are most similar to.
        cosines: of each to the first one.
    """

    members: tuple[int, ...]
    cosines: tuple[float, ...]


def unit_rows(vectors: Vectors) -> Vectors:
    """Rows scaled to length 1; rows of zeros stay zero."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    scales = np.where(lengths == 0, 1, lengths).astype(np.float32)
    units: Vectors = vectors / scales[:, np.newaxis]
    return units


def block_count(rows: int) -> int:
    """The number of blocks that `find_groups` compares."""
    blocks = -(-rows // BLOCK)
    return blocks * (blocks + 1) // 2


def estimate_seconds(units: Vectors) -> float:
    """How long `find_groups` will take, from the time of one block on this machine."""
    first, last = units[:BLOCK], units[-BLOCK:]
    started = time.perf_counter()
    np.count_nonzero(first @ last.T >= 2)
    return (time.perf_counter() - started) * block_count(len(units))


def find_groups(units: Vectors, least_cosine: float, done: Callable[[int], None] | None = None) -> list[Group]:
    """Find the groups, the largest first.

    Two pictures are in one group if their cosine is at least `least_cosine`, or if a chain of such pairs connects them.
    Every pair is compared. The memory beside the vectors is that of one block.

    Args:
        units: (n, dim), rows of length 1 or 0.
        least_cosine: above 0.
        done: is called with the number of compared blocks after each one.
    """
    roots = np.arange(len(units))
    for number, (first, second) in enumerate(_similar_pairs(units, least_cosine), start=1):
        roots = _joined(roots, first, second)
        if done is not None:
            done(number)
    order = np.argsort(roots, kind="stable")
    starts = np.flatnonzero(np.diff(roots[order], prepend=-1))
    groups = [_group(units, rows) for rows in np.split(order, starts[1:]) if len(rows) > 1]
    return sorted(groups, key=lambda group: (-len(group.members), group.members))


def _similar_pairs(units: Vectors, least_cosine: float) -> Iterator[tuple[Indices, Indices]]:
    """The pairs of each block, among them each row with itself and, on the diagonal, each pair twice."""
    for row in range(0, len(units), BLOCK):
        for column in range(row, len(units), BLOCK):
            near = units[row : row + BLOCK] @ units[column : column + BLOCK].T >= least_cosine
            first, second = np.nonzero(near)
            yield first + row, second + column


def _joined(roots: Indices, first: Indices, second: Indices) -> Indices:
    """Join the groups of pairs; each row's root is the least row of its group.

    Hooks each root to the least one that it is paired with, then shortens the chains, until no pair has two roots.
    """
    while True:
        one, other = roots[first], roots[second]
        apart = one != other
        if not apart.any():
            return roots
        first, second, one, other = first[apart], second[apart], one[apart], other[apart]
        parents = np.arange(len(roots))
        np.minimum.at(parents, np.maximum(one, other), np.minimum(one, other))
        while (parents[parents] != parents).any():
            parents = parents[parents]
        roots = parents[roots]


def _group(units: Vectors, rows: Indices) -> Group:
    """The members in the order of their cosine to the one that is nearest to the mean of all."""
    vectors = units[rows]
    centre = int(np.argmax(vectors @ vectors.mean(axis=0)))
    cosines = np.minimum(vectors @ vectors[centre], 1)
    cosines[centre] = 2  # comes first
    order = np.argsort(-cosines, kind="stable")
    members = tuple(int(row) for row in rows[order])
    return Group(members, (1.0, *(float(cosine) for cosine in cosines[order][1:])))


def extra_pictures(groups: Sequence[Group]) -> int:
    """How many pictures could go if one of each group stayed."""
    return sum(len(group.members) - 1 for group in groups)
