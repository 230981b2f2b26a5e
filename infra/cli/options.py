"""What the commands on a stack have in common: how to say where it is, and how numbers are read."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infra.operate.account import Account


def stack_command(
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


def on_stack(do: "Callable[[Account, argparse.Namespace], None]") -> Callable[[argparse.Namespace], None]:
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


def positive(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def whole(text: str) -> int:
    """A whole number, 0 or more."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)
