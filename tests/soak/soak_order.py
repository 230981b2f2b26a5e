"""Long runs of the order models: many cases on all processors, with progress and a count at the end.

python -m tests.soak.soak_order [--cases 20000] [--seed N] [--model items|indexes]
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

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis.stateful import run_state_machine_as_test
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

import handler.aws.retries
from handler.model.encoder import load_encoder
from tests.support.bundles import write_tiny_bundle
from tests.support.index_model import make_index_machine
from tests.support.order_model import OrderMachine, make_machine

PORTION = 100
STEPS = 25


def items_machine(folder: Path) -> type[OrderMachine]:
    """Items and JSONs."""
    return make_machine(load_encoder(write_tiny_bundle(folder / "tiny")))


def indexes_machine(folder: Path) -> type[OrderMachine]:
    """The same with two models, and behind them the indexes."""
    one, other = write_tiny_bundle(folder / "tiny"), write_tiny_bundle(folder / "other", name="other", gain=-1)
    return make_index_machine(load_encoder(one), load_encoder(other))


MODELS = {"items": items_machine, "indexes": indexes_machine}


def run_portion(model: str, number: int, cases: int) -> str:
    """Run some cases of a model; the trace of the first divergence, or nothing."""
    handler.aws.retries.FIRST_BACKOFF_SECONDS = 0
    with tempfile.TemporaryDirectory() as folder:
        machine = MODELS[model](Path(folder))
        options = settings(
            max_examples=cases,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(seeded(number)(machine), settings=options)
        except Exception:  # noqa: BLE001 - any exception is a divergence to report
            return traceback.format_exc()
    return ""


def main() -> int:
    """Run the cases; the exit code is 1 if any diverged."""
    parser = argparse.ArgumentParser(description="Run many cases of the order model.")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--model", choices=[*MODELS], action="append", help="default: all of them")
    parsed = parser.parse_args()
    divergences = [run_model(model, parsed.cases, parsed.seed) for model in parsed.model or MODELS]
    return 1 if any(divergences) else 0


def run_model(model: str, cases: int, seed: int) -> int:
    """Run the cases of one model, and print the divergences; returns how many there are."""
    portions = range(seed, seed + -(-cases // PORTION))
    found: list[str] = []
    console = Console(highlight=False)
    columns = ("[progress.description]{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console)
    with bar, ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        task = bar.add_task(f"order model of {model}", total=cases)
        futures = [pool.submit(run_portion, model, number, PORTION) for number in portions]
        for done, future in enumerate(as_completed(futures), start=1):
            found += [future.result()] if future.result() else []
            bar.advance(task, PORTION)
            if done % 10 == 0 and not console.is_terminal:
                console.print(f"{model}: {done * PORTION} of {cases} cases, {len(found)} divergences")
    report = [*found, f"{model}: {len(portions) * PORTION} cases from seed {seed}: {len(found)} divergences"]
    sys.stdout.write("\n".join(report) + "\n")
    return len(found)


if __name__ == "__main__":
    sys.exit(main())
