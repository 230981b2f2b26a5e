"""EfficientNet-Lite0's feature extractor as an ONNX graph, and its classifier, from the weights of its PyTorch port.

The architecture is Tan and Le's EfficientNet (arXiv 1905.11946) in its Lite variant
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite): no squeeze-and-excitation, ReLU6
instead of swish, stem and head of fixed width. Everything but the strides can be read off the weights' shapes. Batch
normalisation (epsilon 1e-3) is folded into the convolution before it: w' = w g / sqrt(v + e) and
b' = b - m g / sqrt(v + e). Padding is TensorFlow's "SAME": the output has ceil(n / stride) rows, and if the padding is
odd, the smaller half comes first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8
INPUT_SIZE = 224
FEATURES = 1280
CLASSES = 1000
EPSILON = 1e-3

# Strides of the depthwise convolutions of the 16 blocks.
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)

Weights = Mapping[str, npt.NDArray[Any]]


@dataclass
class _Graph:
    """Builds a graph, node by node."""

    weights: Weights
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:  # noqa: ANN401 - ONNX's own
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype=np.float32, order="C"), name))
        return name

    def convolution(self, source: str, conv: str, norm: str, size: int, stride: int = 1) -> tuple[str, int]:
        """Add a convolution with its batch normalisation folded in; returns its output's name and side."""
        weight = self.weights[f"{conv}.weight"].astype(np.float64)
        gain = self.weights[f"{norm}.weight"] / np.sqrt(
            self.weights[f"{norm}.running_var"].astype(np.float64) + EPSILON
        )
        bias = self.weights[f"{norm}.bias"] - self.weights[f"{norm}.running_mean"] * gain
        kernel = weight.shape[-1]
        out = -(-size // stride)
        padding = max((out - 1) * stride + kernel - size, 0)
        before, after = padding // 2, padding - padding // 2
        name = conv.strip("_").replace("._", ".")
        inputs = [
            source,
            self.constant(f"{name}.weight", weight * gain[:, None, None, None]),
            self.constant(f"{name}.bias", bias),
        ]
        self.add(
            "Conv",
            inputs,
            name,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=weight.shape[0] if weight.shape[1] == 1 else 1,  # depthwise: one channel in for each out
        )
        return name, out

    def relu6(self, source: str) -> str:
        return self.add("Clip", [source, "zero", "six"], f"{source}.relu6")


def build(weights: Weights) -> bytes:
    """Build the graph: `image` float32 [N, 3, 224, 224] to `features` float32 [N, 1280].

    Args:
        weights: the port's state dict; its classifier is not used here, see `classifier`.

    Raises:
        KeyError: a weight is missing.
    """
    graph = _Graph(weights)
    graph.constant("zero", np.array(0, dtype=np.float32))
    graph.constant("six", np.array(6, dtype=np.float32))
    flow, size = graph.convolution("image", "_conv_stem", "_bn0", INPUT_SIZE, stride=2)
    flow = graph.relu6(flow)
    for number, stride in enumerate(STRIDES):
        flow, size = _block(graph, f"_blocks.{number}", flow, size, stride)
    flow, _ = graph.convolution(flow, "_conv_head", "_bn1", size)
    pooled = graph.add("GlobalAveragePool", [graph.relu6(flow)], "pooled")
    graph.add("Flatten", [pooled], "features", axis=1)
    return _serialized(graph)


def classifier(weights: Weights) -> npt.NDArray[np.float32]:
    """The linear layer from `features` to the logits of ImageNet's classes: float32 [1000, 1281], the bias last.

    Raises:
        KeyError: a weight is missing.
        ValueError: a weight has another shape.
    """
    weight, bias = weights["_fc.weight"], weights["_fc.bias"]
    if weight.shape != (CLASSES, FEATURES) or bias.shape != (CLASSES,):
        raise ValueError(f"the classifier has the shapes {weight.shape} and {bias.shape}")
    return np.column_stack([weight, bias]).astype(np.float32)


def _block(graph: _Graph, name: str, source: str, size: int, stride: int) -> tuple[str, int]:
    """Add an inverted residual block: expand, depthwise, project, and a shortcut if the shapes allow it."""
    flow = source
    expands = f"{name}._expand_conv.weight" in graph.weights
    if expands:
        flow, size = graph.convolution(flow, f"{name}._expand_conv", f"{name}._bn0", size)
        flow = graph.relu6(flow)
    flow, size = graph.convolution(flow, f"{name}._depthwise_conv", f"{name}._bn1", size, stride)
    flow, size = graph.convolution(graph.relu6(flow), f"{name}._project_conv", f"{name}._bn2", size)
    out = graph.weights[f"{name}._project_conv.weight"].shape[0]
    if expands and stride == 1 and graph.weights[f"{name}._expand_conv.weight"].shape[1] == out:
        flow = graph.add("Add", [flow, source], f"{flow}.sum")
    return flow, size


def _serialized(graph: _Graph) -> bytes:
    shape: list[str | int | None] = ["batch", 3, INPUT_SIZE, INPUT_SIZE]
    body = helper.make_graph(
        graph.nodes,
        "efficientnet-lite0",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", FEATURES])],
        graph.initializers,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(body, opset_imports=opsets, ir_version=IR_VERSION, producer_name="dropvec")
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
