"""Graphs converted to the other block size: equal, to the bit, to what onnxruntime writes on a CPU with that size."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from handler.model.prepared import prepared_options
from infra.bake import nchwc, prepare
from infra.bake.canary import canary
from infra.bake.reuse import bundle_for
from tests.support.onnx_models import channels_last
from tests.support.other_block_size import OTHER, save_optimised

SIDE = 12

Graph = tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]


def convolutions(*shapes: tuple[int, int, int], group: int = 1, bias: bool = True) -> onnx.ModelProto:
    """A chain of convolutions with ReLU: (channels out, channels in, side of the filters)."""
    rng = np.random.default_rng(len(shapes))
    nodes, weights, flow = [], [], "x"
    for number, (out, into, side) in enumerate(shapes):
        names = [f"w{number}"] + ([f"b{number}"] if bias else [])
        values = [rng.standard_normal((out, into, side, side)), rng.standard_normal(out)]
        weights += [
            numpy_helper.from_array(value.astype(np.float32), name) for name, value in zip(names, values, strict=False)
        ]
        groups = group if number == len(shapes) - 1 else 1
        nodes.append(
            helper.make_node(
                "Conv", [flow, *names], [f"c{number}"], group=groups, pads=[side // 2] * 4, kernel_shape=[side, side]
            )
        )
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"]))
        flow = f"r{number}"
    nodes.append(helper.make_node("Softmax", [flow], ["y"], axis=1))
    pixels = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, shapes[0][1], SIDE, SIDE])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, shapes[-1][0], SIDE, SIDE])
    body = helper.make_graph(nodes, "chain", [pixels], [out], weights)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


MODELS = {
    "pixels to wide": convolutions((32, 3, 3), (64, 32, 1)),
    "not a multiple of 16": convolutions((24, 3, 3), (40, 24, 1), (24, 40, 3)),
    "less than a block": convolutions((16, 3, 3), (4, 16, 1), (32, 4, 1)),
    "depthwise": convolutions((48, 3, 3), (48, 1, 3), group=48),
    "in groups": convolutions((64, 3, 3), (64, 32, 3), group=2),
    "channels last, a gate and a sum": channels_last(48),
    "without bias": convolutions((24, 3, 3), (24, 24, 3), bias=False),
}


def here(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    """The graph that onnxruntime writes on this CPU."""
    save_optimised(model.SerializeToString(), folder / "here.onnx")
    return onnx.load(folder / "here.onnx")


def there(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    """The graph that onnxruntime writes on a CPU with the other block size."""
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    command = [
        sys.executable,
        "-m",
        "tests.support.other_block_size",
        str(folder / "model.onnx"),
        str(folder / "there.onnx"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return onnx.load(folder / "there.onnx")


def content(model: onnx.ModelProto) -> Graph:
    """A graph's operators and weights in order, without the names that onnxruntime generates."""
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    names: dict[str, int] = {}
    nodes, values = [], []
    for node in model.graph.node:
        attributes = sorted(attribute.SerializeToString(deterministic=True) for attribute in node.attribute)
        tensors = [names.setdefault(name, len(names)) for name in (*node.input, *node.output)]
        nodes.append((node.domain, node.op_type, tensors, attributes))
        values += [(weights[name].shape, weights[name].tobytes()) for name in node.input if name in weights]
    return nodes, values


def block_size_here() -> int:
    """The block size of this CPU."""
    return prepare.block_size(prepare.optimised(canary()))


def channels_of(graph: onnx.ModelProto) -> Mapping[str, int]:
    (image,) = graph.graph.input
    shape = [size.dim_value or 1 for size in image.type.tensor_type.shape.dim]
    return prepare.channels(graph, {image.name: np.zeros(shape, np.float32)})


@pytest.fixture(scope="module")
def embedded() -> onnx.ModelProto:
    """The graph of efficientnet-lite0."""
    return onnx.load(bundle_for("efficientnet-lite0") / "image.onnx")


def test_efficientnet_lite0_equals_what_onnxruntime_writes(embedded: onnx.ModelProto, tmp_path: Path) -> None:
    written = both(embedded, tmp_path)
    assert content(nchwc.reblock(written[8], 8, 16, {})) == content(written[16])


def both(model: onnx.ModelProto, folder: Path) -> dict[int, onnx.ModelProto]:
    """The graphs that onnxruntime writes for each block size."""
    return {block_size_here(): here(model, folder), OTHER[block_size_here()]: there(model, folder)}


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_for_blocks_of_16_equals_what_onnxruntime_writes(name: str, tmp_path: Path) -> None:
    written = both(MODELS[name], tmp_path)
    assert all(nchwc.is_blocked(graph) for graph in written.values())
    assert content(written[8]) != content(written[16])
    channels = channels_of(written[block_size_here()])
    assert content(nchwc.reblock(written[8], 8, 16, channels)) == content(written[16])


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_for_blocks_of_8_survives_the_round_trip(name: str, tmp_path: Path) -> None:
    # Larger blocks have more padding, which looks like channels afterwards, so compare the round trip.
    written = both(MODELS[name], tmp_path)
    channels = channels_of(written[block_size_here()])
    narrow = nchwc.reblock(written[16], 16, 8, channels)
    assert content(nchwc.reblock(narrow, 8, 16, channels)) == content(written[16])


@pytest.mark.parametrize("name", MODELS)
def test_a_graph_converted_to_this_cpus_block_size_gives_the_models_output(name: str, tmp_path: Path) -> None:
    size, model = block_size_here(), MODELS[name]
    graph = there(model, tmp_path)
    converted = nchwc.reblock(graph, OTHER[size], size, channels_of(here(model, tmp_path)))
    expected, found, garbage = (run(each) for each in (model, converted, graph))
    assert expected is not None
    assert found is not None
    # Softmax amplifies rounding errors.
    assert np.abs(found - expected).max() < 1e-3
    assert garbage is None or np.abs(garbage - expected).max() > 1e-2


def run(model: onnx.ModelProto) -> npt.NDArray[np.float32] | None:
    """The output of a graph on this CPU, not optimised further; None if onnxruntime detects that it does not fit."""
    try:
        session = ort.InferenceSession(
            model.SerializeToString(), prepared_options(1), providers=["CPUExecutionProvider"]
        )
        (image,) = session.get_inputs()
        shape = [size if isinstance(size, int) else 1 for size in image.shape]
        pixels = np.random.default_rng(7).standard_normal(shape).astype(np.float32)
        found: npt.NDArray[np.float32] = session.run(None, {image.name: pixels})[0]
    except Exception:  # noqa: BLE001 - onnxruntime raises many unrelated types
        return None
    return found


def test_the_argument_is_not_changed(tmp_path: Path) -> None:
    size, graph = block_size_here(), here(MODELS["in groups"], tmp_path)
    before = graph.SerializeToString(deterministic=True)
    nchwc.reblock(graph, size, OTHER[size], channels_of(graph))
    assert graph.SerializeToString(deterministic=True) == before


def test_a_graph_for_which_onnxruntime_would_choose_other_operators_is_refused(tmp_path: Path) -> None:
    # Groups of 8 channels go into blocks of 8 and not into blocks of 16.
    model = convolutions((32, 3, 3), (32, 8, 3), group=4)
    eight = here(model, tmp_path) if block_size_here() == 8 else there(model, tmp_path)
    with pytest.raises(nchwc.BlockSizeError, match="groups of 8 to 8"):
        nchwc.reblock(eight, 8, 16, {})  # only pixels are converted to blocks


def test_shared_weights_and_blocked_outputs_are_refused(tmp_path: Path) -> None:
    size = block_size_here()
    shared = here(MODELS["pixels to wide"], tmp_path)
    convs = [node for node in shared.graph.node if node.op_type == "Conv"]
    convs[1].input[2] = convs[0].input[2]
    with pytest.raises(nchwc.BlockSizeError, match="shares its weights"):
        nchwc.reblock(shared, size, OTHER[size], {"x": 3})
    blocked_output = here(MODELS["pixels to wide"], tmp_path)
    blocked_output.graph.output[0].name = convs[1].output[0]
    with pytest.raises(nchwc.BlockSizeError, match="an output of the graph is blocked"):
        nchwc.reblock(blocked_output, size, OTHER[size], {"x": 3})
