"""The argument parser: every command with its options, one example in its help, and suggestions for misspelt words.

Standard library only, so that `--help`, `--version` and wrong usage need no installed packages.
"""

import argparse
import tomllib
from typing import Any, NoReturn

from infra.cli import bake, completion, deploy, export, image, index, local, offline, operate, push, search
from infra.common.paths import PROJECT
from infra.common.program import program
from infra.common.text import suggestion

_MODULES = (bake, offline, export, local, image, push, deploy, operate, search, index, completion)

EXAMPLES = {
    "bake": "bake efficientnet-lite0 --out bundle",
    "embed": "embed photo.jpg",
    "compare": "compare a.jpg b.jpg",
    "export": "export --out vectors.parquet",
    "demo": "demo --images photos",
    "up": "up --port 4566",
    "invoke": "invoke direct-inline.json",
    "image": "image efficientnet-lite0 --tag dropvec:1",
    "push": "push --tag dropvec:1",
    "deploy": "deploy --set Trigger=eventbridge",
    "destroy": "destroy --stack dropvec-test",
    "backfill": "backfill s3://photos/2019/ --dry-run",
    "status": "status --json",
    "failures": "failures --code corrupt_image",
    "redrive": "redrive --rate 50",
    "get": "get s3://photos/2019/cat.jpg",
    "cost": "cost --memory 1769 --concurrency 100",
    "search": "search dog -k 20 --html dogs.html",
    "index": "index status",
    "duplicates": "duplicates --vectors vectors.parquet --html duplicates.html",
    "forget": "forget s3://photos/2019/cat.jpg",
    "completion": "completion bash",
}


class CommandParser(argparse.ArgumentParser):
    """A parser that suggests the nearest option or choice for a misspelt one, with the command's own usage."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401
        """Parse; an unknown argument is an error here, so that a command's own usage is shown."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            options = [name for action in self._actions for name in action.option_strings]
            self.error(f"unknown argument {unknown[0]}{suggestion(unknown[0].partition('=')[0], options)}")
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:  # noqa: ANN401 - any type of value
        choices = action.choices
        if choices is not None and value not in choices:
            known = [str(choice) for choice in choices]
            listed = f"; choose from {', '.join(known)}" if len(known) <= 5 else ""
            what = "command" if isinstance(action, argparse._SubParsersAction) else "value"  # noqa: SLF001 - the type has no other name
            raise argparse.ArgumentError(action, f"unknown {what} {value!r}{suggestion(str(value), known)}{listed}")


class _Version(argparse.Action):
    """`--version`: prints the name and the version."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"dropvec {version()}")
        parser.exit()


def version() -> str:
    """This copy's version."""
    return str(tomllib.loads(PROJECT.read_text("utf-8"))["project"]["version"])


def make_parser(prog: str | None = None) -> CommandParser:
    """The parser of all commands.

    Args:
        prog: the program's name in usages and examples; None for the name that was typed.
    """
    name = prog or program()
    parser = CommandParser(
        prog=name,
        description="Embed images that are put into S3, with a Lambda function in your own account.",
        epilog=f"`{name} COMMAND --help` shows the options of a command, and an example.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in _MODULES:
        module.add_commands(commands)
    for command_name, command in commands.choices.items():
        command.set_defaults(prints_json=command.get_default("prints_json") or False)
        command.epilog = f"example: {name} {EXAMPLES[command_name]}"
    return parser
