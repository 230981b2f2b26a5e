"""Convert the model to the format that an alternative loads fastest.

python -m tests.bench.sides.prepare PEER BUNDLE FOLDER
"""

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_RESAMPLE = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}  # Pillow's numbers


def for_fastembed(bundle: Path, folder: Path) -> None:
    """Write a model folder in the hub's layout: the graph, and the settings of a CLIP image processor."""
    spec = _spec(bundle)
    shutil.copyfile(bundle / spec["file"], folder / "model.onnx")
    processor = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": spec["resize_size"]},
        "resample": _RESAMPLE[spec["interpolation"]],
        "do_center_crop": True,
        "crop_size": {"height": spec["input_size"], "width": spec["input_size"]},
        "do_rescale": True,
        "rescale_factor": 1 / spec["divisor"],
        "do_normalize": True,
        "image_mean": spec["mean"],
        "image_std": spec["std"],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), "utf-8")


def for_openvino(bundle: Path, folder: Path) -> None:
    """Write OpenVINO's format with float32 weights, for a batch of one image."""
    import openvino as ov

    spec = _spec(bundle)
    model = ov.Core().read_model(str(bundle / spec["file"]))
    model.reshape({spec["input_name"]: [1, 3, spec["input_size"], spec["input_size"]]})
    ov.save_model(model, str(folder / "model.xml"), compress_to_fp16=False)


def for_torch(bundle: Path, folder: Path) -> None:
    """Write a file with the weights and the layers in order.

    Raises:
        LookupError: the model has an operator that `torch_operators` does not have.
    """
    import onnx
    import torch
    from onnx import helper, numpy_helper

    from tests.bench.sides.torch_operators import OPERATORS

    graph = onnx.load(str(bundle / _spec(bundle)["file"])).graph
    missing = {node.op_type for node in graph.node} - OPERATORS.keys()
    if missing:
        raise LookupError(f"no torch form of {', '.join(sorted(missing))}")
    nodes = []
    for node in graph.node:
        how = {found.name: _plain(helper.get_attribute_value(found)) for found in node.attribute}
        how = {name: value for name, value in how.items() if name not in {"dilations", "kernel_shape"}}
        nodes.append((node.op_type, list(node.input), node.output[0], how))
    weights = {entry.name: torch.from_numpy(numpy_helper.to_array(entry).copy()) for entry in graph.initializer}
    torch.save({"nodes": nodes, "weights": weights}, folder / "model.pt")


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else list(value) if hasattr(value, "__len__") else value


def _spec(bundle: Path) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads((bundle / "model.json").read_bytes())
    return spec


PREPARE: Mapping[str, Callable[[Path, Path], None]] = {
    "fastembed": for_fastembed,
    "openvino": for_openvino,
    "torch": for_torch,
}


if __name__ == "__main__":
    peer, bundle_name, folder_name = sys.argv[1:]
    Path(folder_name).mkdir(parents=True, exist_ok=True)
    PREPARE[peer](Path(bundle_name), Path(folder_name))
