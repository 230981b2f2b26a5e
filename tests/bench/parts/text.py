"""Measure the first text vector of a process: time from exec and memory, with the S2-shaped text tower."""

import math
import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from tests.bench.figures import Figure, Findings, compared
from tests.bench.parts.cold import opened_files, pairs, probe
from tests.bench.process import Run, drop_from_page_cache
from tests.bench.setting import FOLDER, TEXT_STANDIN_MAKER, Setting

NAIVE, OURS = "tests.bench.sides.text_naive", "tests.bench.sides.text_dropvec"

# ASCII text needs only a table; other text needs the `tokenizers` library on both sides.
_TEXTS = {"": "a photo of a cat on a beach", ", not ASCII": "ein Foto von Füßen am Strand"}

_MIN_COSINE = 0.999999


def measure(setting: Setting) -> Findings:
    """Measure with a warm page cache; without the S2-shaped text tower there are no figures."""
    if not setting.text:
        return Findings(notes=[f"not measured: {TEXT_STANDIN_MAKER} does not exist"])
    setting = replace(setting, bundle=setting.text)
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    for kind, text in _TEXTS.items():
        path = FOLDER / "text.txt"
        path.write_text(text, "utf-8")
        commands = [probe(module, "embed", str(path)) for module in (NAIVE, OURS)]
        _drop_files(setting, commands)
        naive, ours = pairs(setting, commands, setting.runs)
        _require_same(naive[0], ours[0])
        seconds, peaks = _of_vectors(naive, ours, "seconds"), _of_vectors(naive, ours, "peak_mib")
        theirs, mine = ([1000 * each for each in side] for side in seconds)
        figures += [
            compared(f"exec to first text vector{kind}", "ms", theirs, mine),
            compared(f"peak memory, after the first text{kind}", "MiB", peaks[0], peaks[1]),
        ]
        raw[text] = {"seconds": seconds, "peak_mib": peaks}
    return Findings(figures, raw=raw)


def _drop_files(setting: Setting, commands: Sequence[Sequence[str]]) -> None:
    """Have the first round, which does not count, read all files from disk, as in a function.

    The kernel maps files that were just written, such as new packages, in pieces of 2 MiB: both sides would seem to
    need up to 17 MiB more of the libraries, and 2 MiB of the token embedding for each word.
    """
    drop_from_page_cache(sorted({file for command in commands for file in opened_files(setting, command)}))


def _of_vectors(naive: Sequence[Run], ours: Sequence[Run], field: str) -> list[list[float]]:
    return [[getattr(run.marks["vector"], field) for run in runs] for runs in (naive, ours)]


def _require_same(naive: Run, ours: Run) -> None:
    # Without numpy: a library that this process has mapped cannot be dropped from the page cache.
    one, other = ([float(number) for number in cast("list[float]", run.marks["vector"].value)] for run in (naive, ours))
    cosine = sum(map(operator.mul, one, other)) / (math.hypot(*one) * math.hypot(*other))
    assert cosine >= _MIN_COSINE, f"both sides give different vectors of a text: cosine {cosine:.7f}"
