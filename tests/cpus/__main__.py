"""Test the graphs of a baked bundle on emulated CPUs with and without AVX-512: python -m tests.cpus.

No machine has all of the CPUs that Lambda has. So this boots a small Linux in Bochs for each CPU, where the handler's
code loads the bundle and embeds the test card. Every instruction is emulated: each CPU takes about five minutes of
processor time. It needs Debian on x86-64, but not root. It lists missing packages, and downloads a kernel.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from handler.model.encoder import PORTABLE
from handler.model.self_check import MIN_COSINE
from infra.bake.reuse import bundle_for
from infra.common.paths import BUILD
from tests.cpus.emulator import EmulatorError, missing, run
from tests.cpus.first import MARK
from tests.cpus.machine import fetch_kernel, write_disk

# Bochs's CPUs, and the graph that fits each.
CPUS = {"corei7_skylake_x": "blocks-16", "corei7_haswell_4770": "blocks-8"}


def errors(report: dict[str, Any], fits: str) -> list[str]:
    """The errors in a guest's report, given the name of the graph that fits its CPU; empty if there are none."""
    if "failed" in report:
        return [report["failed"]]
    found = []
    if ("avx512f" in report["flags"]) != (fits == "blocks-16") or "avx2" not in report["flags"]:
        found.append(f"the CPU has {report['flags']}")
    check, cosines = report["check"], report["graphs"]
    if not isinstance(check, dict) or (check["status"], check["graph"]) != ("ok", fits):
        found.append(f"the check should have passed with {fits}")
    for name, cosine in cosines.items():
        right = isinstance(cosine, float) and cosine >= MIN_COSINE
        if right != (name in {PORTABLE, fits}):
            found.append(f"the graph {name} should have been {'wrong' if right else 'right'} here: {cosine}")
    return found


def main() -> int:
    """Run the tests; the exit code is 1 if a CPU failed."""
    parser = argparse.ArgumentParser(description="Run a bundle's graphs on emulated CPUs.")
    parser.add_argument("cpus", nargs="*", default=list(CPUS), help=f"of {', '.join(CPUS)}")
    parser.add_argument("--model", default="efficientnet-lite0", help="a name or a bundle")
    parser.add_argument("--minutes", type=float, default=60, help="how long to wait for each")
    parsed = parser.parse_args()
    if packages := missing():
        sys.exit(f"packages are missing; run: apt-get install --no-install-recommends {' '.join(packages)}")
    folder = BUILD / "cpus"
    disk = folder / "disk.img"
    write_disk(disk, fetch_kernel(folder / "kernel"), bundle_for(parsed.model).resolve())
    return max([_try(cpu, disk, parsed.minutes * 60) for cpu in parsed.cpus])


def _try(cpu: str, disk: Path, seconds: float) -> int:
    began = time.monotonic()

    def show(line: str) -> None:
        sys.stdout.write(f"{cpu} {time.monotonic() - began:5.0f} s: {line.rstrip()}\n")
        sys.stdout.flush()

    try:
        report = json.loads(run(cpu, disk, MARK, seconds, show))
    except EmulatorError as error:
        show(str(error))
        return 1
    show(json.dumps(report))
    found = errors(report, CPUS[cpu])
    for text in found:
        show(text)
    show("failed" if found else f"passed: {CPUS[cpu]} was chosen and is right")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
