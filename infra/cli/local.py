"""The commands of the local AWS: `demo`, `up` and `invoke`."""

import argparse
from pathlib import Path

from infra.cli.bake import DEFAULT_MODEL, MODEL_HELP


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add them all."""
    _add_demo(commands)
    _add_up(commands)
    _add_invoke(commands)


def _add_demo(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "demo",
        help="photos to vectors on a local AWS",
        description="Start a local AWS, deploy infra/template.yaml to it, upload images, wait until every one has "
        "an outcome, print them, and write build/demo/results.jsonl: one DynamoDB item a line, with its vector.",
    )
    command.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="upload every file below DIR but hidden ones (default: a dozen sample photos, fetched once)",
    )
    command.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|DIR", help=MODEL_HELP)
    command.set_defaults(run=_demo)


def _add_up(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "up",
        help="the same local AWS, left running until Ctrl-C",
        description="Start a local AWS on 127.0.0.1, deploy infra/template.yaml to it, print commands to try, and "
        "stay until Ctrl-C. build/up/stack.json tells other programs where it is.",
    )
    command.add_argument("--port", type=_port, default=0, metavar="N", help="where to listen (default: a free port)")
    command.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|DIR", help=MODEL_HELP)
    command.set_defaults(run=_up)


def _add_invoke(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "invoke",
        help="send one event to the function of `up`",
        description="Invoke the function of the running `up` directly with an event, and print its JSON answer.",
    )
    command.add_argument("event", metavar="EVENT.json", help="a file with the event; - reads standard input")
    command.set_defaults(run=_invoke)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 1 to 65535, or 0 for a free one")
    return int(text)


def _demo(parsed: argparse.Namespace) -> None:
    from infra.local.demo import demo  # noqa: PLC0415 - see cli.main

    demo(parsed.images, parsed.model)


def _up(parsed: argparse.Namespace) -> None:
    from infra.local.up import up  # noqa: PLC0415 - see cli.main

    up(parsed.port, parsed.model)


def _invoke(parsed: argparse.Namespace) -> None:
    from infra.local.up import invoke  # noqa: PLC0415 - see cli.main

    invoke(parsed.event)
