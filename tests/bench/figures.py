"""Figures and their limits. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from tests.bench.ratios import Ratio, paired_ratio

# Limit and goal of a figure: a ratio to naive, or a value in the figure's unit if it has no ratio.
LIMITS: Mapping[str, tuple[float, float | None]] = {
    "exec to ready": (0.28, 0.22),
    "exec to first embedding, 2000 x 1500 JPEG": (0.38, 0.30),
    "peak memory, ready": (0.25, None),
    "peak memory, after the first 12 MP image": (0.45, None),
    "session creation": (0.08, None),
    "exec to first text vector": (0.35, None),
    "peak memory, after the first text": (0.50, None),
    "12 MP JPEG to tensor": (0.40, 0.25),
    "cosine of the vectors of both, lowest": (0.999, None),
    "warm inference, to onnxruntime's default": (1.02, None),
    "warm invocation, all but decode, inference and network": (5.0, None),
    "batch of 10 messages, to ten single ones": (0.80, None),
    "growth of memory over 20,000 images": (10.0, None),
    "cold start with HEIC, text and direct, to one without": (1.02, None),
    "indexer, exec to ready, to the embedding function's": (0.60, None),
    "search by example, exec to answer, to the embedding function's exec to ready": (0.65, None),
    "warm search by example": (3.0, None),
    "indexer, vectors of 512 numbers": (2500.0, None),
}
_AT_LEAST = frozenset({"cosine of the vectors of both, lowest", "indexer, vectors of 512 numbers"})


@dataclass(frozen=True)
class Figure:
    """One row of a table.

    Attributes:
        name: what was measured; the names of `LIMITS` have a limit.
        unit: unit of `theirs` and `ours`.
        theirs: the median of naive, or of what the name says; None without a comparison.
        ours: the median of dropvec.
        ratio: ours to theirs, pair by pair; None if the limit applies to `ours`.
        note: further information.
    """

    name: str
    unit: str
    theirs: float | None
    ours: float
    ratio: Ratio | None = None
    note: str = ""

    @property
    def limit(self) -> float | None:
        """The limit; None without one."""
        return LIMITS[self.name][0] if self.name in LIMITS else None

    @property
    def goal(self) -> float | None:
        """The goal; None without one."""
        return LIMITS[self.name][1] if self.name in LIMITS else None

    @property
    def met(self) -> bool | None:
        """Whether it is within its limit; None without one."""
        if self.limit is None:
            return None
        if self.name in _AT_LEAST:
            return self.ours >= self.limit
        return (self.ours if self.ratio is None else self.ratio.middle) <= self.limit

    def fields(self) -> dict[str, Any]:
        """Fields of `results.json`."""
        return {**asdict(self), "limit": self.limit, "goal": self.goal, "met": self.met}


@dataclass(frozen=True)
class Series:
    """Figures along an axis, for a table and a curve.

    Attributes:
        name: what was measured.
        axis: name of the axis.
        unit: unit of the values.
        at: positions on the axis.
        values: side to its values, one for each position.
    """

    name: str
    axis: str
    unit: str
    at: Sequence[float]
    values: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Grid:
    """Any other table, as texts."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Findings:
    """The results of one part."""

    figures: Sequence[Figure] = ()
    series: Sequence[Series] = ()
    grids: Sequence[Grid] = ()
    notes: Sequence[str] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """Fields of `results.json`."""
        return {
            "figures": [figure.fields() for figure in self.figures],
            "series": [asdict(series) for series in self.series],
            "grids": [asdict(grid) for grid in self.grids],
            "notes": list(self.notes),
            "raw": dict(self.raw),
        }


def compared(name: str, unit: str, theirs: Sequence[float], ours: Sequence[float], note: str = "") -> Figure:
    """Make a figure from pairs of runs."""
    return Figure(name, unit, median(theirs), median(ours), paired_ratio(ours, theirs), note)
