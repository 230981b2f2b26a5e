"""The commands for a deployed stack: backfill, status, failures, redrive, get, cost."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cli.options import add_json, on_stack, positive, stack_command, whole

if TYPE_CHECKING:
    from infra.operate.stack import DeployedStack


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add these commands. `export` has a module of its own, because it also converts weights."""
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
        "embed the existing objects of a bucket",
        "List a bucket (or read an S3 Inventory of it), skip objects that this model has already embedded, and send "
        "the others to the function's queue. Never replaces newer results. After an interruption, run the same command "
        "to resume.",
    )
    command.add_argument("address", metavar="s3://BUCKET/PREFIX", help="the objects to embed")
    command.add_argument(
        "--dry-run", action="store_true", help="only print the number of objects, their size and the estimated cost"
    )
    command.add_argument("--reembed", action="store_true", help="also embed objects that another model has embedded")
    command.add_argument("--rejected", action="store_true", help="also retry objects that this model has rejected")
    command.add_argument(
        "--everything",
        action="store_true",
        help="embed all objects again, for example after a change of NORMALIZE or EMBEDDING_DTYPE",
    )
    command.add_argument("--rate", type=positive, metavar="N", help="maximum images a second (default: no limit)")
    command.add_argument(
        "--ahead",
        type=whole,
        default=5000,
        metavar="N",
        help="maximum number of messages waiting in the queue, which limits how long new uploads wait behind the "
        "backfill; 0 for no limit (default: %(default)s)",
    )
    command.add_argument(
        "--inventory",
        metavar="s3://…/manifest.json",
        help="read this S3 Inventory of the bucket (CSV format) instead of listing the bucket",
    )
    command.add_argument(
        "--manifest",
        type=Path,
        metavar="FILE.csv",
        help="send nothing; write a manifest for S3 Batch Operations and print the commands that start the job",
    )
    command.add_argument(
        "--restart", action="store_true", help="start from the beginning, even if an earlier run can be resumed"
    )
    add_json(command)
    command.set_defaults(run=on_stack(_backfill), packages="aws")


def _backfill(stack: "DeployedStack", parsed: argparse.Namespace) -> object:
    from infra.operate.backfill.run import BackfillOptions, backfill  # noqa: PLC0415 - see cli.main

    return backfill(
        stack,
        BackfillOptions(
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
        "count items by outcome and model, waiting messages and dead letters",
        "Count the table's items by outcome and by model, the messages in the queue, and the dead letters. Counting "
        "scans the whole table, which costs about 15 cents for ten gigabytes.",
    )
    command.add_argument(
        "--quick", action="store_true", help="do not count items; show DynamoDB's estimate, which may be hours old"
    )
    add_json(command)
    command.set_defaults(run=on_stack(_status), packages="aws", prints_json=True)


def _status(stack: "DeployedStack", parsed: argparse.Namespace) -> None:
    from infra.operate.status import status  # noqa: PLC0415 - see cli.main

    status(stack, quick=parsed.quick, as_json=parsed.json)


def _add_failures(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = stack_command(
        commands,
        "failures",
        "list objects that were not embedded, with the reason",
        "List the rejected objects with error code and reason, and the objects of the dead letters. Scans the whole "
        "table.",
    )
    command.add_argument(
        "--format",
        choices=("text", "csv", "json"),
        default="text",
        help="output format; json is one object per line (default: %(default)s)",
    )
    command.add_argument("--code", metavar="CODE", help="only failures with this error_code, or dead_letter")
    command.add_argument("--limit", type=whole, metavar="N", help="maximum number of failures (default: all)")
    command.add_argument(
        "--peek",
        type=whole,
        default=100,
        metavar="N",
        help="maximum number of dead letters to read; they stay in the queue (default: %(default)s)",
    )
    command.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    command.set_defaults(run=on_stack(_failures), packages="aws")


def _failures(stack: "DeployedStack", parsed: argparse.Namespace) -> None:
    from infra.operate.failures import FailureQuery, failures  # noqa: PLC0415 - see cli.main

    failures(stack, FailureQuery(parsed.format, parsed.code, parsed.limit, parsed.peek))


def _add_redrive(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = stack_command(
        commands,
        "redrive",
        "move dead letters back to the queue after fixing the cause",
        "Move all dead letters back to the function's queue, and let the indexer apply again what its failure records "
        "name. Fix the cause of the failures first. An interruption loses no message.",
    )
    command.add_argument(
        "--rate", type=_messages_a_second, metavar="N", help="maximum messages a second, 1 to 500 (default: no limit)"
    )
    add_json(command)
    command.set_defaults(run=on_stack(_redrive), packages="aws")


def _redrive(stack: "DeployedStack", parsed: argparse.Namespace) -> object:
    from infra.operate.dead_letters import redrive  # noqa: PLC0415 - see cli.main
    from infra.operate.search.failure_records import redrive_records  # noqa: PLC0415 - likewise

    return redrive(stack, parsed.rate) | redrive_records(stack)


def _add_get(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = stack_command(commands, "get", "print one object's result", "Print one object's item in the table.")
    command.add_argument("source", metavar="s3://BUCKET/KEY", help="the object; the key is not URL-encoded")
    add_json(command, "print the complete item as JSON, with the whole vector")
    command.set_defaults(run=on_stack(_get), packages="aws", prints_json=True)


def _get(stack: "DeployedStack", parsed: argparse.Namespace) -> None:
    from infra.operate.get import get  # noqa: PLC0415 - see cli.main

    get(stack, parsed.source, as_json=parsed.json)


def _add_cost(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "cost",
        help="estimate the cost of a million images, and the throughput",
        description="Print the cost of a million images by memory and image size, from measured figures and dated "
        "prices; then the time for up to a billion images, calculated and simulated. Makes no AWS call.",
    )
    command.add_argument("--model", metavar="NAME", help="a measured model (default: the first one)")
    command.add_argument(
        "--memory",
        type=whole,
        action="append",
        metavar="MB",
        help="memory of the function (repeatable; default: 1024, 1769 and 3008)",
    )
    command.add_argument(
        "--concurrency",
        type=whole,
        action="append",
        metavar="N",
        help="MaximumConcurrency of the stack (repeatable; default: 10, 100 and 1000)",
    )
    add_json(command)
    command.set_defaults(run=_cost, packages="base")


def _cost(parsed: argparse.Namespace) -> object:
    from infra.operate.cost import CostQuery, cost  # noqa: PLC0415 - see cli.main

    return cost(CostQuery(parsed.model, tuple(parsed.memory or ()), tuple(parsed.concurrency or ())))


def _messages_a_second(text: str) -> int:
    rate = whole(text)
    if not 1 <= rate <= 500:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 1 to 500")
    return rate
