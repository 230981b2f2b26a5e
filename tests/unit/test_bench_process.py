"""The harness that runs whole processes."""

import subprocess
import sys

import pytest

from infra.common.paths import ROOT
from tests.bench.process import FailedRunError, cores, plain_environment, run

MARK = "import os, time; from tests.bench.probe import mark; "
ENVIRONMENT = plain_environment(PYTHONPATH=str(ROOT))


def test_marks_tell_time_since_exec_and_the_programs_own_peak_memory() -> None:
    code = MARK + "mark('small'); kept = b'x' * (1 << 26); mark('large', '[1, 2]'); time.sleep(0.05); mark('later')"
    finished = run([sys.executable, "-c", code], ENVIRONMENT, cores()[0])
    small, large, later = (finished.marks[name] for name in ("small", "large", "later"))
    assert 0 < small.seconds < large.seconds < later.seconds - 0.05
    assert later.seconds < finished.wall_seconds
    assert 64 <= large.peak_mib - small.peak_mib < 80
    assert large.value == [1, 2]
    assert finished.cpu_seconds > 0


def test_a_program_runs_on_the_one_core_that_was_chosen() -> None:
    core = cores()[0]
    finished = run([sys.executable, "-c", MARK + "mark('at', str(list(os.sched_getaffinity(0))))"], ENVIRONMENT, core)
    assert finished.marks["at"].value == [core]


def test_a_program_that_fails_says_why() -> None:
    with pytest.raises(FailedRunError, match="no such thing"):
        run([sys.executable, "-c", "import sys; sys.exit('no such thing')"], ENVIRONMENT, cores()[0])


def test_the_process_of_the_benchmarks_maps_none_of_the_measured_libraries() -> None:
    libraries = ("numpy", "onnxruntime", "PIL", "tokenizers")
    code = f"import sys, tests.bench.__main__; print(*(name for name in {libraries} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
