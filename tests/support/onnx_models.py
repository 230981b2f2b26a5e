"""Small image encoders as ONNX models, with convolutions that onnxruntime optimises, and some unsupported models."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE, DIM = 32, 40

Shape = list[str | int]


def encoder(  # noqa: PLR0913 - each argument is one variant of the model
    *,
    takes: str = "pixel_values",
    gives: str = "image_embeds",
    dim: int = DIM,
    gain: float = 1.0,
    seed: int = 0,
    shape: Shape | None = None,
    tokens: int = 0,
) -> onnx.ModelProto:
    """Two convolutions, a pooling and a projection.

    Args:
        takes: name of the input.
        gives: name of the output.
        dim: length of a vector.
        gain: factor of all vectors.
        seed: random seed of the weights.
        shape: shape of the input; sizes, or names for axes without a fixed size.
        tokens: when not 0, the output is (N, tokens, dim), and its first row is the vector.
    """
    rng = np.random.default_rng(seed)
    weights = {
        "w0": rng.standard_normal((24, 3, 3, 3)),
        "w1": rng.standard_normal((40, 24, 1, 1)),
        "p": rng.standard_normal((40, dim)) * gain,
    }
    vector = "vector" if tokens else gives
    nodes = [
        helper.make_node("Conv", [takes, "w0"], ["c0"], strides=[4, 4], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1"], ["c1"], kernel_shape=[1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("ReduceMean", ["r1"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["m", "p"], [vector]),
    ]
    out: Shape = ["batch", dim]
    constants = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    if tokens:
        constants.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
        nodes.append(helper.make_node("Unsqueeze", ["vector", "one"], ["row"]))
        nodes.append(helper.make_node("Neg", ["row"], ["other"]))
        nodes.append(helper.make_node("Concat", ["row", *["other"] * (tokens - 1)], [gives], axis=1))
        out = ["batch", tokens, dim]
    taken = helper.make_tensor_value_info(takes, TensorProto.FLOAT, shape or ["batch", 3, SIZE, SIZE])
    given = helper.make_tensor_value_info(gives, TensorProto.FLOAT, out)
    graph = helper.make_graph(nodes, "encoder", [taken], [given], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def save(model: onnx.ModelProto, path: Path, *, weights: str | None = None) -> Path:
    """Write a model; with `weights`, the name of a file in the same directory, as external data."""
    if weights is None:
        onnx.save_model(model, path)
    else:
        onnx.save_model(model, path, save_as_external_data=True, location=weights, size_threshold=0)
    return path


def flat(dim: int = DIM) -> onnx.ModelProto:
    """A projection of the pixels, without operators that onnxruntime blocks."""
    weights = np.random.default_rng(1).standard_normal((3 * SIZE * SIZE, dim)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["pixel_values"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["image_embeds"]),
    ]
    return _model(nodes, {"w": weights}, ["n", "c", "h", "w"])


def channels_last(width: int = 24) -> onnx.ModelProto:
    """A norm and a projection over the last axis between two convolutions, as in ConvNeXt; and a gate (Mul)."""
    rng = np.random.default_rng(2)
    shapes = {
        "w0": (width, 3, 3, 3),
        "w1": (width, width, 3, 3),
        "w2": (width, width, 1, 1),
        "g": (width, width),
        "p": (width, DIM),
    }
    weights = {name: rng.standard_normal(shape).astype(np.float32) / 4 for name, shape in shapes.items()}
    weights |= {"scale": np.ones(width, np.float32), "shift": np.zeros(width, np.float32)}
    nodes = [
        helper.make_node("Conv", ["pixel_values", "w0"], ["c0"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        helper.make_node("Transpose", ["c0"], ["t0"], perm=[0, 2, 3, 1]),
        helper.make_node("LayerNormalization", ["t0", "scale", "shift"], ["n0"], axis=-1),
        helper.make_node("MatMul", ["n0", "g"], ["m0"]),
        helper.make_node("Transpose", ["m0"], ["t1"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t1", "w1"], ["c1"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        helper.make_node("GlobalAveragePool", ["c1"], ["a"]),
        helper.make_node("Conv", ["a", "w2"], ["s"], kernel_shape=[1, 1]),
        helper.make_node("Sigmoid", ["s"], ["gate"]),
        helper.make_node("Mul", ["c1", "gate"], ["gated"]),
        helper.make_node("Add", ["gated", "c1"], ["sum"]),
        helper.make_node("ReduceMean", ["sum"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "p"], ["image_embeds"]),
    ]
    return _model(nodes, weights, ["batch", 3, SIZE, SIZE])


def patches() -> onnx.ModelProto:
    """Sixteen projected patches of the image, as in vision transformers."""
    rng = np.random.default_rng(4)
    shapes = {"w0": (64, 3, 8, 8), "g": (64, 96), "p": (96, DIM)}
    weights: dict[str, npt.NDArray[Any]] = {
        name: rng.standard_normal(shape).astype(np.float32) / 4 for name, shape in shapes.items()
    }
    weights["flat"] = np.array([0, 64, 16], np.int64)
    nodes = [
        helper.make_node("Conv", ["pixel_values", "w0"], ["c0"], strides=[8, 8], kernel_shape=[8, 8]),
        helper.make_node("Reshape", ["c0", "flat"], ["f0"]),
        helper.make_node("Transpose", ["f0"], ["t0"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["t0", "g"], ["m0"]),
        helper.make_node("Relu", ["m0"], ["r0"]),
        helper.make_node("ReduceMean", ["r0"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "p"], ["image_embeds"]),
    ]
    return _model(nodes, weights, ["batch", 3, SIZE, SIZE])


def old_export() -> onnx.ModelProto:
    """An old export: opset 9, with the weights among the inputs."""
    model = encoder()
    old = helper.make_model(model.graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=3)
    for tensor in old.graph.initializer:
        old.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return old


def quantised() -> onnx.ModelProto:
    """A quantised model."""
    weights: dict[str, npt.NDArray[Any]] = {
        "scale": np.array(0.01, np.float32),
        "zero": np.array(0, np.uint8),
        "w": np.random.default_rng(3).standard_normal((3 * SIZE * SIZE, DIM)).astype(np.float32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["pixel_values", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("Flatten", ["d"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["image_embeds"]),
    ]
    return _model(nodes, weights, ["batch", 3, SIZE, SIZE])


def with_function(constant: float) -> onnx.ModelProto:
    """A model with a constant inside a local function."""
    value = numpy_helper.from_array(np.array([constant], np.float32))
    body = [
        helper.make_node("Constant", [], ["k"], value=value),
        helper.make_node("Mul", ["x", "k"], ["y"]),
    ]
    opset = helper.make_opsetid("", 17)
    model = encoder(gives="plain")
    model.graph.node.append(helper.make_node("Scaled", ["plain"], ["image_embeds"], domain="own"))
    model.graph.output[0].name = "image_embeds"
    model.functions.append(helper.make_function("own", "Scaled", ["x"], ["y"], body, [opset]))
    model.opset_import.append(helper.make_opsetid("own", 1))
    return model


def _model(nodes: list[onnx.NodeProto], weights: dict[str, npt.NDArray[Any]], shape: Shape) -> onnx.ModelProto:
    taken = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, shape)
    given = helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, ["batch", DIM])
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "encoder", [taken], [given], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model
