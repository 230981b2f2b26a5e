"""Measure the throughput on the local AWS with 1, 2 and 4 runtimes at once."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence

from infra.common.paths import ROOT
from tests.bench.figures import Findings, Series
from tests.bench.process import FailedRunError, python
from tests.bench.setting import FOLDER, Setting, medium_picture
from tests.bench.world import upload, world

RUNTIMES = (1, 2, 4)


def measure(setting: Setting) -> Findings:
    """Each runtime has one vCPU, or shares one if there are fewer; time starts when all are ready."""
    cores = sorted(os.sched_getaffinity(0), reverse=True)
    data = medium_picture(setting).read_bytes()
    rates = []
    with world(FOLDER / "throughput", setting.other_core) as aws:
        environment = setting.environment() | aws.environment(aws.direct)
        for runtimes in RUNTIMES:
            shares = [upload(aws.direct, data, 2 * setting.runs) for _ in range(runtimes)]
            seconds = _run(shares, cores, environment)
            rates.append(sum(map(len, shares)) / seconds)
    series = Series("throughput on the local AWS", "runtimes at once", "images/s", RUNTIMES, {"dropvec": rates})
    note = f"JPEGs of 2000 x 1500, batches of 5 messages; {len(cores)} processors, shared with the local AWS"
    return Findings(series=[series], notes=[note])


def _run(shares: Sequence[Sequence[str]], cores: Sequence[int], environment: Mapping[str, str]) -> float:
    """Seconds from the start signal until the last runtime is done."""
    started = [
        subprocess.Popen(
            [python(), "-m", "tests.bench.runtime", str(cores[number % len(cores)]), *share],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number, share in enumerate(shares)
    ]
    for process in started:
        if process.stdout is None or process.stdout.readline() != b"ready\n":
            raise FailedRunError("a runtime did not start")
    begun = time.perf_counter()
    for process in started:
        if process.stdin is not None:
            process.stdin.close()
    codes = [process.wait() for process in started]
    seconds = time.perf_counter() - begun
    if any(codes):
        raise FailedRunError("a runtime failed")
    for process in started:
        if process.stdout is not None:
            process.stdout.close()
    return seconds
