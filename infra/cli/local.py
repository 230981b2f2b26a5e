"""The commands of the local AWS: `demo`, `up` and `invoke`."""

import argparse
from pathlib import Path

from infra.cli.bake import DEFAULT_MODEL, MODEL_HELP
from infra.cli.options import add_json


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `demo`, `up` and `invoke`."""
    _add_demo(commands)
    _add_up(commands)
    _add_invoke(commands)


def _add_demo(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "demo",
        help="embed photos on a local AWS",
        description="Start a local AWS, deploy infra/template.yaml to it, upload images, wait until every image has an "
        "outcome, print the outcomes, and write build/demo/results.jsonl: one DynamoDB item per line, with its vector.",
    )
    command.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="upload all files below DIR except hidden ones (default: a dozen sample photos, downloaded once)",
    )
    command.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|DIR", help=MODEL_HELP)
    add_json(command)
    command.set_defaults(run=_demo, packages="demo")


def _add_up(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "up",
        help="run the local AWS until Ctrl-C",
        description="Start a local AWS on 127.0.0.1, deploy infra/template.yaml to it, print commands to try, and run "
        "until Ctrl-C. build/up/stack.json contains its endpoint and resource names for other programs.",
    )
    command.add_argument("--port", type=_port, default=0, metavar="N", help="port to listen on (default: a free port)")
    command.add_argument(
        "--api-port",
        type=_port,
        default=0,
        metavar="N",
        help="port of the HTTP API and the gallery (default: a free port)",
    )
    command.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME|DIR", help=MODEL_HELP)
    add_json(command, "print the endpoint and the resource names as JSON, as build/up/stack.json has them")
    command.set_defaults(run=_up, packages="demo", prints_json=True)


def _add_invoke(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "invoke",
        help="send one event to the function of `up`",
        description="Invoke the function of the running `up` with an event, and print its JSON response.",
    )
    command.add_argument(
        "event",
        metavar="EVENT.json",
        help="file with the event, or the name of an example event that comes with dropvec, such as "
        "direct-inline.json; - for standard input",
    )
    add_json(command, "no effect: the output is always JSON")
    command.set_defaults(run=_invoke, packages="demo", prints_json=True)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535, or 0 for a free one")
    return int(text)


def _demo(parsed: argparse.Namespace) -> object:
    from infra.local.demo import demo  # noqa: PLC0415 - see cli.main

    return demo(parsed.images, parsed.model)


def _up(parsed: argparse.Namespace) -> None:
    from infra.local.up import up  # noqa: PLC0415 - see cli.main

    up(parsed.port, parsed.api_port, parsed.model, as_json=parsed.json)


def _invoke(parsed: argparse.Namespace) -> None:
    from infra.local.up import invoke  # noqa: PLC0415 - see cli.main

    invoke(parsed.event)
