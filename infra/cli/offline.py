"""The commands that need no AWS: `embed` and `compare`."""

import argparse
from pathlib import Path

from infra.cli.bake import DEFAULT_MODEL, MODEL_HELP
from infra.cli.options import add_json


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `embed` and `compare`."""
    _add_embed(commands)
    _add_compare(commands)


def _add_embed(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "embed",
        help="embed files on this machine, without AWS",
        description="Embed image files, and texts if the model has a text tower. Prints a JSON line for each, in the "
        "format of a direct invocation's response.",
    )
    command.add_argument("files", nargs="*", type=Path, metavar="FILE", help="an image file")
    command.add_argument("--text", action="append", default=[], metavar="TEXT", help="a text to embed (repeatable)")
    command.add_argument("--raw", action="store_true", help="do not normalise vectors to length 1")
    command.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|DIR", help=MODEL_HELP)
    add_json(command, "no effect: the output is always JSON, one object per line")
    command.set_defaults(run=_embed, packages="base", prints_json=True)


def _add_compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "compare",
        help="print the cosine similarity of two images, or of an image and a text",
        description="Embed two images or texts on this machine and print the cosine similarity of their vectors.",
    )
    command.add_argument(
        "first", metavar="A", help="an image file, or a text with the prefix text:, as in 'text:a red shoe'"
    )
    command.add_argument("second", metavar="B", help="an image file, or a text with the prefix text:")
    command.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|DIR", help=MODEL_HELP)
    add_json(command)
    command.set_defaults(run=_compare, packages="base")


def _embed(parsed: argparse.Namespace) -> None:
    from infra.offline.embed import embed  # noqa: PLC0415 - see cli.main

    embed(parsed.files, parsed.text, parsed.model, normalize=not parsed.raw)


def _compare(parsed: argparse.Namespace) -> object:
    from infra.offline.embed import compare  # noqa: PLC0415 - see cli.main

    return compare(parsed.first, parsed.second, parsed.model)
