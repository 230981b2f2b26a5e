"""The command line of what is done to a stack that runs."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infra.operate.account import Account


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add them all."""
    _add_backfill(commands)


def _add_backfill(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _stack_command(
        commands,
        "backfill",
        "embed what is in a bucket already",
        "List a bucket (or read an S3 Inventory of it), leave out what has a result of this model already, and feed "
        "the rest to the function through the queue that it reads anyway; it never replaces newer work. It may be "
        "stopped or killed at any time: the same command goes on from there.",
    )
    command.add_argument("address", metavar="s3://BUCKET/PREFIX", help="what to embed")
    command.add_argument("--dry-run", action="store_true", help="only tell how many, how many bytes, what it costs")
    command.add_argument("--reembed", action="store_true", help="also replace what another model has embedded")
    command.add_argument("--rejected", action="store_true", help="also try again what this model has rejected")
    command.add_argument(
        "--everything",
        action="store_true",
        help="whatever the table says; after a change of NORMALIZE or EMBEDDING_DTYPE",
    )
    command.add_argument("--rate", type=_positive, metavar="N", help="images a second, at most (default: no limit)")
    command.add_argument(
        "--ahead",
        type=_whole,
        default=5000,
        metavar="N",
        help="messages that may wait in the queue, so that new uploads do not wait behind all of the backfill; "
        "0 for any number (default: %(default)s)",
    )
    command.add_argument(
        "--inventory",
        metavar="s3://…/manifest.json",
        help="read this S3 Inventory (as CSV) of the bucket, list nothing",
    )
    command.add_argument(
        "--manifest",
        type=Path,
        metavar="FILE.csv",
        help="write a manifest for S3 Batch Operations and print the command that starts it; send nothing",
    )
    command.add_argument("--restart", action="store_true", help="from the beginning, wherever an earlier run stopped")
    command.set_defaults(run=_on_stack(_backfill))


def _backfill(account: "Account", parsed: argparse.Namespace) -> None:
    from infra.operate.backfill.run import Options, backfill  # noqa: PLC0415 - so that --help is there at once

    backfill(
        account,
        Options(
            address=parsed.address,
            inventory=parsed.inventory,
            reembed=parsed.reembed,
            rejected=parsed.rejected,
            everything=parsed.everything,
            rate=parsed.rate,
            ahead=parsed.ahead or None,
            dry_run=parsed.dry_run,
            restart=parsed.restart,
            manifest=parsed.manifest,
        ),
    )


def _stack_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, short: str, long: str
) -> argparse.ArgumentParser:
    """A command with the options that say where the stack is."""
    command = commands.add_parser(name, help=short, description=long)
    where = command.add_argument_group("where the stack is")
    where.add_argument(
        "--stack", default="dropvec", metavar="NAME", help="the CloudFormation stack (default: %(default)s)"
    )
    where.add_argument("--region", help="default: the AWS SDK's own")
    where.add_argument("--profile", help="of ~/.aws (default: the AWS SDK's own)")
    where.add_argument("--local", action="store_true", help="the local AWS of the running `up`")
    for part in ("table", "queue", "dead-letters", "function"):
        kind = "URL" if part in {"queue", "dead-letters"} else "NAME"
        where.add_argument(f"--{part}", metavar=kind, help="instead of the stack's own")
    return command


def _on_stack(do: "Callable[[Account, argparse.Namespace], None]") -> Callable[[argparse.Namespace], None]:
    """Find the stack, do it, and tell what AWS refuses in one line."""

    def run(parsed: argparse.Namespace) -> None:
        from infra.operate import account as at  # noqa: PLC0415 - so that --help is there at once

        options: dict[str, Any] = vars(parsed)
        given = {
            at.TABLE: options["table"],
            at.QUEUE: options["queue"],
            at.DEAD_LETTERS: options["dead_letters"],
            at.FUNCTION: options["function"],
        }
        where = at.Where(
            stack=options["stack"],
            region=options["region"],
            profile=options["profile"],
            local=options["local"],
            given={name: value for name, value in given.items() if value},
        )
        with at.told_in_one_line():
            do(at.find(where), parsed)

    return run


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)
