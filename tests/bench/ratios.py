"""Ratios of paired runs: their median and quartiles. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """The ratios of pairs of figures of the same run.

    Attributes:
        middle: median.
        low: lower quartile.
        high: upper quartile.
        pairs: number of pairs.
    """

    middle: float
    low: float
    high: float
    pairs: int


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Divide pair by pair, so that a temporary slowdown of the machine affects both sides of a ratio.

    Args:
        ours: one figure for each run.
        theirs: the figures of the paired runs; the same number, above 0.

    Raises:
        ValueError: there are no pairs, or the numbers differ.
    """
    found = sorted(one / other for one, other in zip(ours, theirs, strict=True))
    if not found:
        raise ValueError("no pairs to compare")
    return Ratio(median(found), quantile(found, 0.25), quantile(found, 0.75), len(found))


def quantile(values: Sequence[float], share: float) -> float:
    """The quantile (0 to 1) of sorted values, with linear interpolation."""
    place = share * (len(values) - 1)
    below, above = math.floor(place), math.ceil(place)
    return values[below] + (values[above] - values[below]) * (place - below)
