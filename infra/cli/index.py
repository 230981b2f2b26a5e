"""The command `index`: the search index of a stack."""

import argparse
from typing import TYPE_CHECKING

from infra.cli.options import add_json, add_stack_options, on_stack, positive, whole

if TYPE_CHECKING:
    from infra.operate.stack import DeployedStack


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `index` with its actions."""
    group = commands.add_parser(
        "index",
        help="show, rebuild, verify or delete the search index",
        description="The search index is derived from the table: it can be rebuilt from it at any time.",
    )
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_status(actions)
    _add_rebuild(actions)
    _add_verify(actions)
    _add_drop(actions)


def _add_status(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = actions.add_parser(
        "status",
        help="list the indexes with their vectors, and how far the index is behind the table",
        description="List the indexes of the stack: number of vectors, fingerprint of the model, and whether searches "
        "or uploads use it; the age of the oldest change that is not in the index yet, and failure records.",
    )
    add_stack_options(command)
    command.add_argument("--quick", action="store_true", help="do not count vectors, which lists all of them")
    add_json(command)
    command.set_defaults(run=on_stack(_status), packages="aws")


def _status(stack: "DeployedStack", parsed: argparse.Namespace) -> object:
    from infra.operate.search.status import index_status  # noqa: PLC0415 - see cli.main

    return index_status(stack, quick=parsed.quick, as_json=parsed.json)


def _add_rebuild(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = actions.add_parser(
        "rebuild",
        help="write every item of the table into the index again",
        description="Touch every item of the table, so that the indexer applies it again, and remove vectors whose "
        "item is gone. Searches work meanwhile. After an interruption, run the same command to resume.",
    )
    add_stack_options(command)
    command.add_argument("--rate", type=positive, metavar="N", help="maximum items a second (default: no limit)")
    command.add_argument("--restart", action="store_true", help="start from the beginning")
    add_json(command)
    command.set_defaults(run=on_stack(_rebuild), packages="aws")


def _rebuild(stack: "DeployedStack", parsed: argparse.Namespace) -> object:
    from infra.operate.search.rebuild import rebuild  # noqa: PLC0415 - see cli.main

    return rebuild(stack, parsed.rate, restart=parsed.restart)


def _add_verify(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = actions.add_parser(
        "verify",
        help="compare bucket, table and index",
        description="Compare the objects of the uploads bucket with the items of the table, and the items with the "
        "vectors of every index. Each difference is read again before it is reported, because work may be under way. "
        "Exits with 1 if there are differences that were not repaired.",
    )
    add_stack_options(command)
    command.add_argument(
        "--repair",
        action="store_true",
        help="touch the items whose vectors differ, and send the objects whose items differ to the function",
    )
    command.add_argument("--limit", type=whole, default=100, metavar="N", help="differences to list (default: 100)")
    add_json(command)
    command.set_defaults(run=on_stack(_verify), packages="aws", prints_json=True)


def _verify(stack: "DeployedStack", parsed: argparse.Namespace) -> None:
    from infra.operate.search.verify import VerifyOptions, verify  # noqa: PLC0415 - see cli.main

    verify(stack, VerifyOptions(repair=parsed.repair, limit=parsed.limit, as_json=parsed.json))


def _add_drop(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = actions.add_parser(
        "drop",
        help="delete the index of a model",
        description="Delete the index of a model that is no longer used. The items of the table stay.",
    )
    add_stack_options(command)
    command.add_argument("fingerprint", metavar="FINGERPRINT", help="of the model, or at least 8 digits of its start")
    command.add_argument("--force", action="store_true", help="also delete the index that searches or uploads use")
    add_json(command)
    command.set_defaults(run=on_stack(_drop), packages="aws")


def _drop(stack: "DeployedStack", parsed: argparse.Namespace) -> object:
    from infra.operate.search.drop import drop  # noqa: PLC0415 - see cli.main

    return drop(stack, parsed.fingerprint, force=parsed.force)
