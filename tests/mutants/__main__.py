"""Mutation tests of the commit protocol, the sequencing, the records and the event decoding.

python -m tests.mutants [--only PART_OF_A_NAME] [--jobs N]

Each mutant runs in a fork of one process that has every package imported, against only the tests that execute its line,
until the first failure. A mutant that survives must be in survivors.toml with the reason why it changes nothing; exit
code 1 when one is not, or when a listed one is killed or gone.
"""

import argparse
import os
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from tests.mutants.fork import Children, preload
from tests.mutants.mutate import Mutant, mutants_of
from tests.mutants.scope import TARGETS, lines_by_test

ROOT = Path(__file__).parents[2]
SURVIVORS = Path(__file__).with_name("survivors.toml")


def main() -> int:
    """Run the mutants; see the module."""
    parser = argparse.ArgumentParser(description="Run the mutation tests.")
    parser.add_argument("--only", default="", help="run the mutants whose name contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parsed = parser.parse_args()
    started = time.monotonic()
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder
        preload()
        survivors, total = _run(parsed.only, parsed.jobs, Path(folder))
    listed = _listed(parsed.only)
    unlisted, stale = sorted(survivors - listed), sorted(listed - survivors)
    minutes = (time.monotonic() - started) / 60
    for name in unlisted:
        sys.stdout.write(f"survived: {name}\n")
    for name in stale:
        sys.stdout.write(f"listed in survivors.toml, but killed or gone: {name}\n")
    sys.stdout.write(
        f"{total} mutants in {minutes:.1f} min: {total - len(survivors)} killed, {len(survivors)} survived, "
        f"{len(unlisted)} of them without a reason\n"
    )
    return 1 if unlisted or stale else 0


def _run(only: str, jobs: int, folder: Path) -> tuple[set[str], int]:
    children = Children(jobs, folder)
    survivors: set[str] = set()
    total = 0
    for file, tests in TARGETS.items():
        executed = lines_by_test(file, tests, children)
        for mutant in mutants_of(file, (ROOT / file).read_text(encoding="utf-8")):
            if only in mutant.name:
                total += 1
                children.start(file, mutant, _tests_of(mutant, executed), survivors)
    children.wait()
    return survivors, total


def _tests_of(mutant: Mutant, executed: dict[str, set[int]]) -> list[str]:
    return [test for test, lines in executed.items() if mutant.line in lines]


def _listed(only: str) -> set[str]:
    groups = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))["survivors"]
    return {name for group in groups for name in group["mutants"] if only in name}


if __name__ == "__main__":
    sys.exit(main())
