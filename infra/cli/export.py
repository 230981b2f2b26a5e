"""The command `export`: all vectors of a table to a file, or PyTorch weights to ONNX."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cli.options import on_stack, stack_command
from infra.common.errors import OperatorError

if TYPE_CHECKING:
    from infra.operate.account import Account


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add it."""
    command = stack_command(
        commands,
        "export",
        "all vectors to a file; or PyTorch weights of MobileCLIP to ONNX",
        "Without NAME: write all vectors of the table with their keys, of one model, to a file for another vector "
        "store. With NAME: write a tower of MobileCLIP as an ONNX file from PyTorch weights: reparameterised, for any "
        "batch, compared with PyTorch on random inputs before it is put in place. Image: pixel_values float32 "
        "[N,3,256,256], 0 to 1, to image_embeds float32 [N,512], not normalised. Text: input_ids int64 [N,77] to "
        "text_embeds. Takes about half a minute, and the packages of the dependency group `export`.",
    )
    command.add_argument(
        "model", nargs="?", metavar="NAME", help="mobileclip-s2, mobileclip2-s2, mobileclip-s0 (image only)"
    )
    command.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="vectors: .parquet or .npz; a graph: .onnx"
    )
    vectors = command.add_argument_group("vectors")
    which = vectors.add_mutually_exclusive_group()
    which.add_argument("--fingerprint", metavar="HEX", help="of this model (default: the one that the function runs)")
    which.add_argument(
        "--mixed", action="store_true", help="of every model, although they cannot be compared; .parquet only"
    )
    weights = command.add_argument_group("PyTorch weights")
    weights.add_argument("--weights", type=Path, metavar="FILE", help="Apple's or open_clip's checkpoint")
    weights.add_argument(
        "--tower", choices=("image", "text"), default="image", help="which half (default: %(default)s)"
    )
    command.set_defaults(run=_export)


def _export(parsed: argparse.Namespace) -> None:
    if (parsed.model is None) != (parsed.weights is None):
        raise OperatorError("NAME and --weights belong together: without both, vectors are exported")
    if parsed.model is None:
        on_stack(_export_vectors)(parsed)
        return
    from infra.onnx_export import export  # noqa: PLC0415 - so that --help is there at once

    print(export(parsed.model, parsed.weights, parsed.out, parsed.tower))


def _export_vectors(account: "Account", parsed: argparse.Namespace) -> None:
    from infra.operate.vectors.export import Wish, export_vectors  # noqa: PLC0415 - likewise

    export_vectors(account, Wish(parsed.out, parsed.fingerprint, parsed.mixed))
