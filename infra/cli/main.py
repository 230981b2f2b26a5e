"""The command line: `dropvec COMMAND --help`.

Each command imports its implementation when it runs, so that `--help` is fast.
"""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout

from infra.cli.bootstrap import ensure_packages
from infra.cli.parser import make_parser
from infra.common.errors import CheckError, OperatorError, UsageError
from infra.common.signals import Terminated, terminations_raised


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0; in one line each: 1 for a failure, 2 for wrong usage and for a check that failed before any
        change; 128 + N after signal N.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with terminations_raised():
            _run(typed)
    except UsageError as error:
        print(f"dropvec: {error}; see `dropvec {typed[0]} --help`", file=sys.stderr)
        return 2
    except OperatorError as error:
        print(f"dropvec: {error}", file=sys.stderr)
        return 2 if isinstance(error, CheckError) else 1
    except KeyboardInterrupt as stopped:
        print(f"dropvec: stopped {stopped}".rstrip(), file=sys.stderr)
        return 130
    except Terminated as ended:
        print("dropvec: stopped by a signal", file=sys.stderr)
        return 128 + ended.signum
    except BrokenPipeError:  # the reader closed the pipe early, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _run(typed: Sequence[str]) -> None:
    """Parse the arguments, see to the packages, and run the command; with --json, print its result."""
    parsed = make_parser().parse_args(typed)
    packages = parsed.packages(parsed) if callable(parsed.packages) else parsed.packages
    if packages is not None:
        ensure_packages(packages, typed)
    as_json = getattr(parsed, "json", False)
    with redirect_stdout(sys.stderr) if as_json and not parsed.prints_json else nullcontext():
        result = parsed.run(parsed)
    if as_json and not parsed.prints_json:
        print(json.dumps(result, indent=2))
