"""MobileCLIP from PyTorch weights to ONNX.

The architecture is not ours: open_clip (PyPI `open-clip-torch`, MIT) has the text tower and reads Apple's checkpoints,
timm (Apache-2.0) has the image tower and its reparameterisation. Apple's repository, apple/ml-mobileclip, names
open_clip as the other home of its models, and is no package itself. All of it is the dependency group `export`.
"""

import importlib.util
import sys
import warnings
from pathlib import Path

from infra.common.errors import OperatorError
from infra.onnx_export.contract import MODELS, TOWERS, Model, Tower

PACKAGES = ("torch", "torchvision", "open_clip", "timm", "onnxscript", "onnx", "onnxruntime")

__all__ = ["export"]


def export(name: str, weights: Path, out: Path, tower_name: str = "image") -> str:
    """Write one tower of a model as a reparameterised ONNX file, checked against PyTorch before it is put in place.

    Args:
        name: a model of `contract.MODELS`.
        weights: its checkpoint, Apple's or open_clip's.
        out: the ONNX file; one that is there is replaced, in one step and only by a checked one.
        tower_name: `image` or `text`.

    Returns:
        One line that describes the file.

    Raises:
        OperatorError: one line that says what is wrong and what to do; nothing half-written stays.
    """
    model, tower = _find(name, tower_name)
    _require_packages()
    print(f"{name}: exporting its {tower.name} tower and comparing it with PyTorch, about half a minute")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what these packages say of each other is not for the operator
        from infra.onnx_export.graph import write_graph  # noqa: PLC0415 - takes seconds, and needs the packages
        from infra.onnx_export.weights import load_tower  # noqa: PLC0415 - likewise

        return write_graph(tower, load_tower(name, model, tower, weights), out)


def _find(name: str, tower_name: str) -> tuple[Model, Tower]:
    model = MODELS.get(name)
    if model is None:
        raise OperatorError(f"{name!r} is not a model that can be exported; there are {', '.join(MODELS)}")
    tower = TOWERS[tower_name]
    if tower not in model.towers:
        raise OperatorError(
            f"open_clip has no {tower_name} tower of {name}; export its {model.towers[0].name} tower, or another model"
        )
    return model, tower


def _require_packages() -> None:
    missing = [package for package in PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise OperatorError(
            f"export needs packages that are not installed ({', '.join(missing)}); in the project's folder: "
            f"{sys.executable} -m pip install --group export --constraint constraints.txt"
        )
