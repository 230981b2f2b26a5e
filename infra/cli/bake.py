"""The command `bake`, and the options that the image's build shares with it."""

import argparse
from pathlib import Path

from infra.cli.options import add_json

DEFAULT_MODEL = "efficientnet-lite0"
MODEL_HELP = "name of a manifest in infra/manifests, or a bundle's directory (default: %(default)s)"


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `bake`."""
    command = commands.add_parser(
        "bake",
        help="make a model bundle",
        description="Make a model bundle: download the pinned weights, build the graph, optimise it for fast loading, "
        "and verify its output. The function loads the bundle from the directory that MODEL_DIR names.",
    )
    command.add_argument("model", metavar="NAME|MANIFEST", help="name of a manifest in infra/manifests, or its path")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="directory for the bundle")
    add_bake_options(command)
    add_json(command)
    command.set_defaults(run=_bake, packages="base")


def add_bake_options(command: argparse.ArgumentParser) -> None:
    """Add the options that `bake` and `image` share."""
    command.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="SHA256",
        help="accept a file with this SHA-256 that the manifest does not pin; without this option, bake prints the "
        "SHA-256 of such a file and stops (repeatable)",
        type=_sha256,
    )
    command.add_argument(
        "--mirror",
        metavar="URL",
        help="download from this mirror instead of the manifest's hosts (default: $DROPVEC_MIRROR, if set)",
    )
    command.add_argument("--no-text", dest="text", action="store_false", help="omit the model's text tower")
    command.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="file with a label per line; every result then contains the five nearest labels",
    )
    command.add_argument(
        "--label-template",
        default="{}",
        metavar="TEXT",
        help="text to embed for a label, with {} for the label, such as 'a photo of a {}' (default: the label only)",
    )


def _sha256(text: str) -> str:
    if len(text) != 64 or not set(text.lower()) <= set("0123456789abcdef"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a SHA-256 of 64 hexadecimal digits")
    return text.lower()


def _bake(parsed: argparse.Namespace) -> object:
    from infra.bake import Options, bake  # noqa: PLC0415 - see cli.main

    options = Options(
        accepted=parsed.accept,
        mirror=parsed.mirror,
        text=parsed.text,
        labels=parsed.labels,
        label_template=parsed.label_template,
    )
    out = bake(parsed.model, parsed.out, options)
    print(out)
    return {"bundle": str(out)}
