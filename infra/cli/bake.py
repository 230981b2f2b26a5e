"""The command `bake`, and the options that the image's build shares with it."""

import argparse
from pathlib import Path

DEFAULT_MODEL = "efficientnet-lite0"
MODEL_HELP = "a manifest's name in infra/manifests, or a bundle's directory (default: %(default)s)"


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `bake`."""
    command = commands.add_parser(
        "bake",
        help="make a model bundle",
        description="Make a model bundle: fetch the pinned weights, build the graph, prepare it for fast loading, "
        "check what it computes. MODEL_DIR of the function then names that directory.",
    )
    command.add_argument("model", metavar="NAME|MANIFEST", help="a manifest's name in infra/manifests, or its path")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the bundle goes")
    add_bake_options(command)
    command.set_defaults(run=_bake)


def add_bake_options(command: argparse.ArgumentParser) -> None:
    """Add the options of a bake."""
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


def _sha256(text: str) -> str:
    if len(text) != 64 or not set(text.lower()) <= set("0123456789abcdef"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a SHA-256: 64 hexadecimal digits")
    return text.lower()


def _bake(parsed: argparse.Namespace) -> None:
    from infra.bake import Options, bake  # noqa: PLC0415 - see cli.main

    options = Options(
        accepted=parsed.accept,
        mirror=parsed.mirror,
        text=parsed.text,
        labels=parsed.labels,
        label_template=parsed.label_template,
    )
    print(bake(parsed.model, parsed.out, options))
