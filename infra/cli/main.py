"""The command line: `dropvec COMMAND --help`.

Each command imports its implementation when it runs, so that `--help` is fast.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from infra.cli import bake, deploy, export, image, local, offline, operate
from infra.common.errors import OperatorError
from infra.common.signals import Terminated, terminations_raised


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0, 1 for a failure (reported in one line), 128 + N after signal N. argparse exits with 2 on wrong
        usage.
    """
    parsed = make_parser().parse_args(arguments)
    try:
        with terminations_raised():
            parsed.run(parsed)
    except OperatorError as error:
        print(f"dropvec: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dropvec: stopped", file=sys.stderr)
        return 130
    except Terminated as ended:
        return 128 + ended.signum
    except BrokenPipeError:  # the reader closed the pipe early, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Every command with its arguments."""
    parser = argparse.ArgumentParser(prog="python -m infra", description="Operator commands of dropvec.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (bake, offline, export, local, image, deploy, operate):
        module.add_commands(commands)
    return parser
