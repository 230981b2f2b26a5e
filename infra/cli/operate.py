"""The command line of what is done to a stack that runs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cli.options import on_stack, positive, stack_command, whole

if TYPE_CHECKING:
    from infra.operate.account import Account


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add them all, but for `export`, which has two meanings."""
    _add_backfill(commands)
    _add_status(commands)
    _add_failures(commands)
    _add_redrive(commands)
    _add_get(commands)
    _add_cost(commands)


def _add_backfill(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = stack_command(
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
    command.add_argument("--rate", type=positive, metavar="N", help="images a second, at most (default: no limit)")
    command.add_argument(
        "--ahead",
        type=whole,
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
    command.set_defaults(run=on_stack(_backfill))


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


def _add_status(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = stack_command(
        commands,
        "status",
        "what is in the table, what waits, what has failed",
        "Count the table's items by outcome and by model, and the messages in the queue and among the dead letters. "
        "Counting reads all of the table, which costs about 15 cents for ten gigabytes.",
    )
    command.add_argument("--quick", action="store_true", help="do not count; DynamoDB's own figures are hours old")
    command.add_argument("--json", action="store_true", help="for a program")
    command.set_defaults(run=on_stack(_status))


def _status(account: "Account", parsed: argparse.Namespace) -> None:
    from infra.operate.status import status  # noqa: PLC0415 - so that --help is there at once

    status(account, quick=parsed.quick, as_json=parsed.json)


def _add_failures(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = stack_command(
        commands,
        "failures",
        "what could not be embedded, and why",
        "List what was rejected, with its code and reason, and what the dead letters are about. Reads the whole table.",
    )
    command.add_argument(
        "--format",
        choices=("text", "csv", "json"),
        default="text",
        help="json is an object a line (default: %(default)s)",
    )
    command.add_argument("--code", metavar="CODE", help="only this error_code, or dead_letter")
    command.add_argument("--limit", type=whole, metavar="N", help="no more than so many")
    command.add_argument(
        "--peek",
        type=whole,
        default=100,
        metavar="N",
        help="look at so many dead letters, at most; they stay (default: %(default)s)",
    )
    command.set_defaults(run=on_stack(_failures))


def _failures(account: "Account", parsed: argparse.Namespace) -> None:
    from infra.operate.failures import Wish, failures  # noqa: PLC0415 - so that --help is there at once

    failures(account, Wish(parsed.format, parsed.code, parsed.limit, parsed.peek))


def _add_redrive(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = stack_command(
        commands,
        "redrive",
        "send the dead letters to the function again",
        "Move all dead letters back into the function's queue, once what made them fail is mended. Nothing is lost "
        "when this is interrupted.",
    )
    command.add_argument("--rate", type=_letters_a_second, metavar="N", help="letters a second, at most: 1 to 500")
    command.set_defaults(run=on_stack(_redrive))


def _redrive(account: "Account", parsed: argparse.Namespace) -> None:
    from infra.operate.dead_letters import redrive  # noqa: PLC0415 - so that --help is there at once

    redrive(account, parsed.rate)


def _add_get(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = stack_command(commands, "get", "one result", "Print what the table says of one object.")
    command.add_argument("source", metavar="s3://BUCKET/KEY", help="the key as it is, not URL-encoded")
    command.add_argument("--json", action="store_true", help="all of it, with the whole vector")
    command.set_defaults(run=on_stack(_get))


def _get(account: "Account", parsed: argparse.Namespace) -> None:
    from infra.operate.get import get  # noqa: PLC0415 - so that --help is there at once

    get(account, parsed.source, as_json=parsed.json)


def _add_cost(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "cost",
        help="dollars for a million images, and how fast it can go",
        description="Dollars for a million images by memory and image size, from measured figures and a dated price "
        "table; then how long up to a billion images take, on paper and played through. Asks AWS nothing.",
    )
    command.add_argument("--model", metavar="NAME", help="that was measured (default: the first)")
    command.add_argument(
        "--memory",
        type=whole,
        action="append",
        metavar="MB",
        help="may be given again (default: 1024, 1769 and 3008)",
    )
    command.add_argument(
        "--concurrency",
        type=whole,
        action="append",
        metavar="N",
        help="MaximumConcurrency, may be given again (default: 10, 100 and 1000)",
    )
    command.set_defaults(run=_cost)


def _cost(parsed: argparse.Namespace) -> None:
    from infra.operate.cost import Wish, cost  # noqa: PLC0415 - so that --help is there at once

    cost(Wish(parsed.model, tuple(parsed.memory or ()), tuple(parsed.concurrency or ())))


def _letters_a_second(text: str) -> int:
    rate = whole(text)
    if not 1 <= rate <= 500:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to 500")
    return rate
