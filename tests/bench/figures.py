"""What is measured, beside its limit. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from tests.bench.ratios import Ratio, paired_ratio

# Ratios to naive in the same run, or what the unit says: the limit, and what is hoped for.
REACH: Mapping[str, tuple[float, float | None]] = {
    "exec to ready": (0.28, 0.22),
    "exec to first embedding, 2000 x 1500 JPEG": (0.38, 0.30),
    "peak memory, ready": (0.25, None),
    "peak memory, after the first 12 MP image": (0.45, None),
    "session creation": (0.08, None),
    "12 MP JPEG to tensor": (0.40, 0.25),
    "cosine of the vectors of both, lowest": (0.999, None),
    "warm inference, to onnxruntime's default": (1.02, None),
    "warm invocation, all but decode, inference and network": (5.0, None),
    "batch of 10 messages, to ten single ones": (0.80, None),
    "growth of memory over 20,000 images": (10.0, None),
    "cold start with HEIC, text and direct, to one without": (1.02, None),
}
_AT_LEAST = frozenset({"cosine of the vectors of both, lowest"})


@dataclass(frozen=True)
class Figure:
    """One row of a table.

    Attributes:
        name: what was measured; those of `REACH` have a limit.
        unit: of `theirs` and `ours`.
        theirs: the median of naive, or of what is compared with; None where there is none.
        ours: the median of dropvec.
        ratio: ours to theirs, pair by pair; None where the figure itself is what counts.
        note: what else must be known.
    """

    name: str
    unit: str
    theirs: float | None
    ours: float
    ratio: Ratio | None = None
    note: str = ""

    @property
    def limit(self) -> float | None:
        """The limit of `REACH`."""
        return REACH[self.name][0] if self.name in REACH else None

    @property
    def hoped(self) -> float | None:
        """What is hoped for beyond it."""
        return REACH[self.name][1] if self.name in REACH else None

    @property
    def met(self) -> bool | None:
        """Whether it is within its limit; None where it has none."""
        if self.limit is None:
            return None
        if self.name in _AT_LEAST:
            return self.ours >= self.limit
        return (self.ours if self.ratio is None else self.ratio.middle) <= self.limit

    def fields(self) -> dict[str, Any]:
        """As `results.json` has it."""
        return {**asdict(self), "limit": self.limit, "hoped": self.hoped, "met": self.met}


@dataclass(frozen=True)
class Series:
    """Figures along an axis, for a table and a curve.

    Attributes:
        name: what was measured.
        axis: what it is measured against.
        unit: of the values.
        at: places on the axis.
        values: by side, one for each place.
    """

    name: str
    axis: str
    unit: str
    at: Sequence[float]
    values: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Grid:
    """A table that is neither: texts, as they are to be shown."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Findings:
    """All that one part has found."""

    figures: Sequence[Figure] = ()
    series: Sequence[Series] = ()
    grids: Sequence[Grid] = ()
    notes: Sequence[str] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """As `results.json` has it."""
        return {
            "figures": [figure.fields() for figure in self.figures],
            "series": [asdict(series) for series in self.series],
            "grids": [asdict(grid) for grid in self.grids],
            "notes": list(self.notes),
            "raw": dict(self.raw),
        }


def compared(name: str, unit: str, theirs: Sequence[float], ours: Sequence[float], note: str = "") -> Figure:
    """A figure of pairs of runs."""
    return Figure(name, unit, median(theirs), median(ours), paired_ratio(ours, theirs), note)
