"""Options that the commands for a deployed stack share, and parsers for numbers."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infra.operate.stack import DeployedStack


def stack_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, short: str, long: str
) -> argparse.ArgumentParser:
    """Add a command with the options that select a stack."""
    command = commands.add_parser(name, help=short, description=long)
    add_stack_options(command)
    return command


def add_stack_options(command: argparse.ArgumentParser) -> None:
    """Add the options that select a stack."""
    group = command.add_argument_group("stack")
    group.add_argument(
        "--stack", default="dropvec", metavar="NAME", help="name of the CloudFormation stack (default: %(default)s)"
    )
    group.add_argument("--region", help="AWS region (default: the AWS SDK's)")
    group.add_argument("--profile", help="profile of ~/.aws (default: the AWS SDK's)")
    group.add_argument("--local", action="store_true", help="use the local AWS of the running `up`")
    group.add_argument("--table", metavar="NAME", help="use this table instead of the stack's")
    group.add_argument("--queue", metavar="URL", help="use this queue instead of the stack's")
    group.add_argument("--dead-letters", metavar="URL", help="use this dead-letter queue instead of the stack's")
    group.add_argument("--function", metavar="NAME", help="use this function instead of the stack's")


def on_stack(do: "Callable[[DeployedStack, argparse.Namespace], object]") -> Callable[[argparse.Namespace], object]:
    """Wrap a command's function: connect to the stack, and turn AWS errors into OperatorErrors."""

    def run(parsed: argparse.Namespace) -> object:
        from infra.operate import stack as stacks  # noqa: PLC0415 - see cli.main

        options: dict[str, Any] = vars(parsed)
        resources = {
            stacks.TABLE: options["table"],
            stacks.QUEUE: options["queue"],
            stacks.DEAD_LETTERS: options["dead_letters"],
            stacks.FUNCTION: options["function"],
        }
        ref = stacks.StackRef(
            stack=options["stack"],
            region=options["region"],
            profile=options["profile"],
            local=options["local"],
            overrides={output: name for output, name in resources.items() if name},
        )
        with stacks.aws_errors_as_operator_errors():
            return do(stacks.connect(ref), parsed)

    return run


def add_json(command: argparse._ActionsContainer, what: str = "print the result as JSON on standard output") -> None:
    """Add `--json`."""
    command.add_argument("--json", action="store_true", help=what)


def positive(text: str) -> float:
    """Parse a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def whole(text: str) -> int:
    """Parse a whole number, 0 or more."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)
