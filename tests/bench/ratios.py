"""What pairs of runs say: medians, and ratios pair by pair. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """Ours to another's, in the same run.

    Attributes:
        middle: the median of the pairs' ratios.
        low: their lower quartile.
        high: their upper quartile.
        pairs: how many there were.
    """

    middle: float
    low: float
    high: float
    pairs: int


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Divide pair by pair, so that what slows the machine down for a while slows both sides of a ratio.

    Args:
        ours: one figure a run.
        theirs: the figures of the runs next to them; as many, above 0.

    Raises:
        ValueError: there are no pairs, or not as many on both sides.
    """
    found = sorted(one / other for one, other in zip(ours, theirs, strict=True))
    if not found:
        raise ValueError("no pairs to compare")
    return Ratio(median(found), quantile(found, 0.25), quantile(found, 0.75), len(found))


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share (0 to 1) of sorted values lies, between two of them in proportion."""
    place = share * (len(values) - 1)
    below, above = math.floor(place), math.ceil(place)
    return values[below] + (values[above] - values[below]) * (place - below)
