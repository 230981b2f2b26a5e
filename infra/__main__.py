"""The operator's command line: `python -m infra COMMAND --help`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from infra import image_command
from infra.deploy.commands import add_deploy, add_destroy
from infra.errors import OperatorError
from infra.exports import add_export
from infra.local.signals import Terminated, terminations_raised
from infra.operate.commands import add_commands
from infra.setup import ensure_packages

_MODEL_HELP = "a manifest's name in infra/models, or a bundle's directory (default: %(default)s)"
_DEFAULT_MODEL = "efficientnet-lite0"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 for a failure told in one line, 2 for wrong usage."""
    parsed = _parser().parse_args(arguments)
    try:
        with terminations_raised():
            parsed.run(parsed)
    except OperatorError as error:
        print(f"dropvec: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dropvec: stopped", file=sys.stderr)
        return 130
    except Terminated as ended:
        return 128 + ended.signum
    except BrokenPipeError:  # whoever reads the output has read enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra", description="Operator commands of dropvec.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_bake(commands)
    _add_embed(commands)
    _add_compare(commands)
    add_export(commands)
    _add_demo(commands)
    _add_up(commands)
    _add_invoke(commands)
    _add_bake_options(image_command.add(commands, _DEFAULT_MODEL))
    add_deploy(commands)
    add_destroy(commands)
    add_commands(commands)
    return parser


def _add_bake(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "bake",
        help="make a model bundle",
        description="Make a model bundle: fetch the pinned weights, build the graph, prepare it for fast loading, "
        "check what it computes. MODEL_DIR of the function then names that directory.",
    )
    command.add_argument("model", metavar="NAME|MANIFEST", help="a manifest's name in infra/models, or its path")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the bundle goes")
    _add_bake_options(command)
    command.set_defaults(run=_bake)


def _add_bake_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="SHA256",
        help="stand for a file that the manifest could not pin: bake prints the hash of each one that it met; "
        "may be given again",
        type=_sha256,
    )
    command.add_argument(
        "--mirror",
        metavar="URL",
        help="fetch from here instead of the hosts of the manifest (default: $DROPVEC_MIRROR, if set)",
    )
    command.add_argument("--no-text", dest="text", action="store_false", help="leave the model's text tower out")
    command.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="labels, one a line: every result then tells the five that are nearest",
    )
    command.add_argument(
        "--label-template",
        default="{}",
        metavar="TEXT",
        help="what is embedded for a label, with {} in its place, such as 'a photo of a {}' (default: the label alone)",
    )


def _add_embed(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "embed",
        help="embed files on this machine, without AWS",
        description="Embed image files, and texts where the model has a text tower; print a JSON line for each, as in "
        "a direct response.",
    )
    command.add_argument("files", nargs="*", type=Path, metavar="FILE", help="an image")
    command.add_argument("--text", action="append", default=[], metavar="TEXT", help="a text; may be given again")
    command.add_argument("--raw", action="store_true", help="leave vectors as the model gives them, not scaled to 1")
    command.add_argument("--model", default=_DEFAULT_MODEL, metavar="NAME|DIR", help=_MODEL_HELP)
    command.set_defaults(run=_embed)


def _add_compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "compare",
        help="the cosine of two images, or of an image and a text",
        description="Embed two things on this machine and print the cosine of their vectors. text:… stands for a text.",
    )
    command.add_argument("one", metavar="A", help="an image file, or text: and a text, such as 'text:a red shoe'")
    command.add_argument("other", metavar="B", help="likewise")
    command.add_argument("--model", default=_DEFAULT_MODEL, metavar="NAME|DIR", help=_MODEL_HELP)
    command.set_defaults(run=_compare)


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
    command.add_argument("--model", default=_DEFAULT_MODEL, metavar="NAME|DIR", help=_MODEL_HELP)
    command.set_defaults(run=_demo)


def _add_up(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "up",
        help="the same local AWS, left running until Ctrl-C",
        description="Start a local AWS on 127.0.0.1, deploy infra/template.yaml to it, print commands to try, and "
        "stay until Ctrl-C. build/up/stack.json tells other programs where it is.",
    )
    command.add_argument("--port", type=_port, default=0, metavar="N", help="where to listen (default: a free port)")
    command.add_argument("--model", default=_DEFAULT_MODEL, metavar="NAME|DIR", help=_MODEL_HELP)
    command.set_defaults(run=_up)


def _add_invoke(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "invoke",
        help="send one event to the function of `up`",
        description="Invoke the function of the running `up` directly with an event, and print its JSON answer.",
    )
    command.add_argument("event", metavar="EVENT.json", help="a file with the event; - reads standard input")
    command.set_defaults(run=_invoke)


def _sha256(text: str) -> str:
    if len(text) != 64 or not set(text.lower()) <= set("0123456789abcdef"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a SHA-256: 64 hexadecimal digits")
    return text.lower()


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 1 to 65535, or 0 for a free one")
    return int(text)


# Each command imports what it needs when it runs, so that `--help` is there at once.


def _bake(parsed: argparse.Namespace) -> None:
    from infra.bake import Options, bake  # noqa: PLC0415 - see above

    options = Options(
        accepted=parsed.accept,
        mirror=parsed.mirror,
        text=parsed.text,
        labels=parsed.labels,
        label_template=parsed.label_template,
    )
    print(bake(parsed.model, parsed.out, options))


def _embed(parsed: argparse.Namespace) -> None:
    from infra.embed import embed  # noqa: PLC0415 - see above

    embed(parsed.files, parsed.text, parsed.model, normalize=not parsed.raw)


def _compare(parsed: argparse.Namespace) -> None:
    from infra.embed import compare  # noqa: PLC0415 - see above

    compare(parsed.one, parsed.other, parsed.model)


def _demo(parsed: argparse.Namespace) -> None:
    from infra.local.demo import demo  # noqa: PLC0415 - see above

    demo(parsed.images, parsed.model)


def _up(parsed: argparse.Namespace) -> None:
    from infra.local.up import up  # noqa: PLC0415 - see above

    up(parsed.port, parsed.model)


def _invoke(parsed: argparse.Namespace) -> None:
    from infra.local.up import invoke  # noqa: PLC0415 - see above

    invoke(parsed.event)


if __name__ == "__main__":
    ensure_packages()
    sys.exit(main())
