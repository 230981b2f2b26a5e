"""CloudWatch metrics of an invocation of the embedding function, as log lines."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from handler.errors import AccessDeniedError, InternalError, RetryableError
from handler.log import FUNCTION, metric_line
from handler.outcomes import Outcome, Status
from handler.triggers.answers import Report

CODE = "ErrorCode"

# CloudWatch's limit for a metric's list of values.
MAX_VALUES = 100

# Each metric is the sum of these laps of `Outcome.timings_ms`; `wait` is only in the total.
_STAGES = {
    "FetchMs": ("fetch",),
    "DecodeMs": ("decode", "preprocess"),
    "InferenceMs": ("embed",),
    "WriteMs": ("write", "commit"),
    "TotalMs": ("total",),
}
_RETRIED = frozenset(error.code for error in (RetryableError, AccessDeniedError, InternalError))


@dataclass
class Counts:
    """Counts of one invocation.

    Attributes:
        embedded: images and texts that became vectors.
        deleted: keys without an object, whose items are tombstones now.
        unchanged: superseded and ignored jobs.
        rejected: permanent errors, by code.
        failed: errors that are retried, by code.
        timings: by metric, milliseconds of each embedded image.
    """

    embedded: int = 0
    deleted: int = 0
    unchanged: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    timings: dict[str, list[float]] = field(default_factory=dict)


def count_reports(reports: Iterable[Report]) -> Counts:
    """Count the outcomes of a trigger's event."""
    counts = Counts()
    for report in reports:
        for outcome in report.outcomes:
            _count(outcome, counts)
        if report.error is not None and all(outcome.error is not report.error for outcome in report.outcomes):
            counts.failed[report.error.code] += 1  # it could not be read, or there was no time to begin it
    return counts


def _count(outcome: Outcome, counts: Counts) -> None:
    code = outcome.error.code if outcome.error else "internal"
    match outcome.status:
        case Status.SUCCESS:
            counts.embedded += 1
            for name, laps in _STAGES.items():
                value = sum(outcome.timings_ms.get(lap, 0.0) for lap in laps)
                counts.timings.setdefault(name, []).append(round(value, 3))
        case Status.REJECTED:
            counts.rejected[code] += 1
        case Status.FAILED:
            counts.failed[code] += 1
        case Status.DELETED:
            counts.deleted += 1
        case _:
            counts.unchanged += 1


def count_files(response: Mapping[str, Any]) -> Counts:
    """Count the files of a direct request's response; a request that did not validate is a rejection."""
    counts = Counts()
    if "cosine" in response:  # a check embeds no image of the caller's
        return counts
    for entry in response.get("task_output", {}).get("files", [response]):
        code = entry.get("error_code")
        if code is None:
            counts.embedded += 1
        else:
            (counts.failed if code in _RETRIED else counts.rejected)[code] += 1
    return counts


class Meter:
    """Makes the log lines; knows which invocation is the first of the process."""

    def __init__(self, function: str, clock: Callable[[], float] = time.time) -> None:
        self._function = function
        self._clock = clock
        self._cold = True

    def lines(self, counts: Counts) -> Iterator[dict[str, Any]]:
        """The lines of one invocation: one with all counts, and one for each error code."""
        values: dict[str, float | list[float]] = {
            "Images": counts.embedded,
            "Rejected": counts.rejected.total(),
            "Failed": counts.failed.total(),
            "Deleted": counts.deleted,
            "Unchanged": counts.unchanged,
            "ColdStarts": int(self._cold),
        }
        self._cold = False
        longest = max(map(len, counts.timings.values()), default=0)
        yield self._line(values | _part(counts.timings, 0))
        for start in range(MAX_VALUES, longest, MAX_VALUES):
            yield self._line(_part(counts.timings, start))
        for name, codes in (("Rejected", counts.rejected), ("Failed", counts.failed)):
            for code, number in codes.items():
                yield self._line({name: number}, {CODE: code})

    def _line(self, values: Mapping[str, float | list[float]], more: Mapping[str, str] | None = None) -> dict[str, Any]:
        return metric_line({FUNCTION: self._function, **(more or {})}, values, self._clock())


def _part(timings: Mapping[str, list[float]], start: int) -> dict[str, list[float]]:
    return {name: values[start : start + MAX_VALUES] for name, values in timings.items()}
