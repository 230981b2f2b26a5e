"""MobileCLIP from PyTorch weights to ONNX.

The model code comes from packages: open_clip (PyPI `open-clip-torch`, MIT) has the text tower and reads Apple's
checkpoints; timm (Apache-2.0) has the image tower and its reparameterisation. Apple's own repository,
apple/ml-mobileclip, is not a package and refers to open_clip. The extra `export` has all packages.
"""

import warnings
from pathlib import Path

from infra.common.errors import OperatorError
from infra.common.text import suggestion
from infra.onnx_export.contract import MODELS, TOWERS, Model, Tower

__all__ = ["export"]


def export(name: str, weights: Path, out: Path, tower_name: str = "image") -> str:
    """Write one tower of a model as a reparameterised ONNX file, after comparing it with PyTorch.

    Args:
        name: a model of `contract.MODELS`.
        weights: its checkpoint, from Apple or open_clip.
        out: the ONNX file; an existing file is replaced atomically, and only after the comparison.
        tower_name: `image` or `text`.

    Returns:
        One line that describes the file.

    Raises:
        OperatorError: the export failed; no file was written.
    """
    model, tower = _find(name, tower_name)
    print(f"{name}: exporting the {tower.name} tower and comparing it with PyTorch; this takes about half a minute")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the packages warn about each other; the user cannot do anything about it
        from infra.onnx_export.graph import write_graph  # noqa: PLC0415 - takes seconds, and needs the packages
        from infra.onnx_export.weights import load_tower  # noqa: PLC0415 - likewise

        return write_graph(tower, load_tower(name, model, tower, weights), out)


def _find(name: str, tower_name: str) -> tuple[Model, Tower]:
    model = MODELS.get(name)
    if model is None:
        known = ", ".join(MODELS)
        raise OperatorError(f"{name!r} cannot be exported; models that can: {known}{suggestion(name, MODELS)}")
    tower = TOWERS[tower_name]
    if tower not in model.towers:
        raise OperatorError(
            f"open_clip has no {tower_name} tower of {name}; export the {model.towers[0].name} tower, or another model"
        )
    return model, tower
