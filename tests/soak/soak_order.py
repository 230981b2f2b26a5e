"""Long runs of the order model: many cases on all processors, with progress and a count at the end.

python -m tests.soak.soak_order [--cases 20000] [--seed N]
"""

import argparse
import os
import sys
import tempfile
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

import handler.aws.clients
from handler.model.encoder import load_encoder
from tests.support.bundles import write_tiny_bundle
from tests.support.order_model import make_machine

PORTION = 100
STEPS = 25


def run_portion(number: int, cases: int) -> str:
    """Run some cases; the trace of the first divergence, or nothing."""
    handler.aws.clients.FIRST_BACKOFF_SECONDS = 0
    with tempfile.TemporaryDirectory() as folder:
        machine = make_machine(load_encoder(write_tiny_bundle(Path(folder) / "tiny")))
        options = settings(
            max_examples=cases,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(seed(number)(machine), settings=options)
        except Exception:  # noqa: BLE001 - any exception is a divergence to report
            return traceback.format_exc()
    return ""


def main() -> int:
    """Run the cases; the exit code is 1 if any diverged."""
    parser = argparse.ArgumentParser(description="Run many cases of the order model.")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parsed = parser.parse_args()
    portions = range(parsed.seed, parsed.seed + -(-parsed.cases // PORTION))
    found: list[str] = []
    console = Console(highlight=False)
    columns = ("[progress.description]{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console)
    with bar, ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        task = bar.add_task("order model", total=parsed.cases)
        futures = [pool.submit(run_portion, number, PORTION) for number in portions]
        for done, future in enumerate(as_completed(futures), start=1):
            found += [future.result()] if future.result() else []
            bar.advance(task, PORTION)
            if done % 10 == 0 and not console.is_terminal:
                console.print(f"{done * PORTION} of {parsed.cases} cases, {len(found)} divergences")
    report = [*found, f"{len(portions) * PORTION} cases from seed {parsed.seed}: {len(found)} divergences"]
    sys.stdout.write("\n".join(report) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
