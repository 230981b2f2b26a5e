"""The command `export`: all vectors of the table to a file, or PyTorch weights to ONNX."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cli.options import add_json, on_stack, stack_command
from infra.common.errors import UsageError

if TYPE_CHECKING:
    from infra.operate.stack import DeployedStack


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `export`."""
    command = stack_command(
        commands,
        "export",
        "export all vectors to a file, or PyTorch weights of MobileCLIP to ONNX",
        "Without NAME: write all vectors of one model, with the keys of their images, to a file for another vector "
        "store. With NAME: convert PyTorch weights of a MobileCLIP tower to an ONNX file. The graph is reparameterised "
        "and accepts any batch size; the command compares its output with PyTorch's on random inputs before it writes "
        "the file. Image tower: pixel_values float32 [N,3,256,256] from 0 to 1, to image_embeds float32 [N,512], not "
        "normalised. Text tower: input_ids int64 [N,77], to text_embeds. The conversion takes about half a minute, and "
        "needs the packages of the extra `export`.",
    )
    command.add_argument(
        "model", nargs="?", metavar="NAME", help="mobileclip-s2, mobileclip2-s2, mobileclip-s0 (image only)"
    )
    command.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="output: .parquet or .npz for vectors, .onnx for a graph",
    )
    vectors = command.add_argument_group("vectors")
    which = vectors.add_mutually_exclusive_group()
    which.add_argument(
        "--fingerprint", metavar="HEX", help="fingerprint of the model, or the start of it (default: the function's)"
    )
    which.add_argument(
        "--mixed", action="store_true", help="vectors of all models, which are not comparable; .parquet only"
    )
    weights = command.add_argument_group("PyTorch weights")
    weights.add_argument("--weights", type=Path, metavar="FILE", help="Apple's or open_clip's checkpoint")
    weights.add_argument(
        "--tower", choices=("image", "text"), default="image", help="which tower (default: %(default)s)"
    )
    add_json(command)
    command.set_defaults(run=_export, packages=_packages)


def _packages(parsed: argparse.Namespace) -> str:
    """The set of packages that the export needs, by what it writes."""
    if parsed.model is not None:
        return "export"
    return "vectors" if parsed.out.suffix == ".parquet" else "aws"


def _export(parsed: argparse.Namespace) -> object:
    if (parsed.model is None) != (parsed.weights is None):
        raise UsageError("give both NAME and --weights to convert weights, or neither to export vectors")
    if parsed.model is None:
        return on_stack(_export_vectors)(parsed)
    from infra.onnx_export import export  # noqa: PLC0415 - see cli.main

    line = export(parsed.model, parsed.weights, parsed.out, parsed.tower)
    print(line)
    return {"graph": str(parsed.out)}


def _export_vectors(stack: "DeployedStack", parsed: argparse.Namespace) -> object:
    from infra.operate.vectors.export import ExportQuery, export_vectors  # noqa: PLC0415 - see cli.main

    return export_vectors(stack, ExportQuery(parsed.out, parsed.fingerprint, parsed.mixed))
