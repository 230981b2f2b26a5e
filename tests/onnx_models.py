"""Small image encoders as ONNX files: convolutions, so that there is something to prepare, and some that are wrong."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE, DIM = 32, 40

Shape = list[str | int]


def encoder(  # noqa: PLR0913 - each is one way to be another model
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
        gain: what all vectors are multiplied by.
        seed: of the weights.
        shape: of the input; numbers, or names where any size goes.
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
    """Write a model; with a name for `weights`, they go into a file of their own beside it."""
    if weights is None:
        onnx.save_model(model, path)
    else:
        onnx.save_model(model, path, save_as_external_data=True, location=weights, size_threshold=0)
    return path
