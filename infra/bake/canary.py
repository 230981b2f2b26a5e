"""The canary: a small graph with every kind of blocked operator that onnxruntime creates in an image encoder.

On a CPU with another block size its output is wrong, and running it takes only a millisecond; see
`handler.model.prepared`. Its input is `handler.model.prepared.canary_pixels()`, its output 32 numbers.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from handler.model.prepared import CANARY_INPUT, CANARY_OUTPUT, CANARY_SIDE

OPSET, IR_VERSION = 17, 8

# Not a multiple of 16: the stem's filters are padded for blocks of 16 only, so their shape reveals the block size.
STEM_CHANNELS = 24
_WIDE, _LAST = 48, 32


@dataclass
class _Graph:
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, kind: str, inputs: list[str], **attributes: Any) -> str:  # noqa: ANN401 - ONNX's own
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def conv(self, source: str, shape: tuple[int, int, int, int], **attributes: Any) -> str:  # noqa: ANN401 - ONNX's own
        number = len(self.weights)
        for name, dims in ((f"w{number}", shape), (f"b{number}", shape[:1])):
            self.weights.append(numpy_helper.from_array(_numbers(dims, number), name))
        side = shape[-1]
        pads = [side // 2] * 4
        return self.add(
            "Conv", [source, f"w{number}", f"b{number}"], kernel_shape=[side, side], pads=pads, **attributes
        )


def canary() -> onnx.ModelProto:
    """Build the canary, not optimised."""
    graph = _Graph()
    stem = graph.add("Relu", [graph.conv(CANARY_INPUT, (STEM_CHANNELS, 3, 3, 3), strides=[2, 2])])
    flow = graph.add("Relu", [graph.conv(stem, (_WIDE, STEM_CHANNELS, 1, 1))])
    flow = graph.add("Relu", [graph.conv(flow, (_WIDE, 1, 3, 3), group=_WIDE)])
    flow = graph.add("Add", [graph.conv(flow, (STEM_CHANNELS, _WIDE, 1, 1)), stem])
    flow = graph.add("AveragePool", [flow], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    flow = graph.add("Relu", [graph.conv(flow, (_LAST, STEM_CHANNELS, 1, 1))])
    flow = graph.conv(flow, (_LAST, _LAST // 2, 3, 3), group=2)
    flow = graph.add("MaxPool", [flow], kernel_shape=[2, 2], strides=[2, 2])
    flow = graph.add("Softmax", [flow], axis=1)  # not a blocked operator: reorders out of blocks and back
    flow = graph.conv(flow, (_LAST, _LAST, 1, 1))
    pooled = graph.add("GlobalAveragePool", [flow])
    graph.nodes.append(helper.make_node("Flatten", [pooled], [CANARY_OUTPUT], name=CANARY_OUTPUT, axis=1))
    pixels = helper.make_tensor_value_info(CANARY_INPUT, TensorProto.FLOAT, [1, 3, CANARY_SIDE, CANARY_SIDE])
    output = helper.make_tensor_value_info(CANARY_OUTPUT, TensorProto.FLOAT, [1, _LAST])
    body = helper.make_graph(graph.nodes, "canary", [pixels], [output], graph.weights)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _numbers(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float32]:
    """Deterministic numbers from -0.5 to 0.5, without two equal ones in a row."""
    count = int(np.prod(shape))
    values = (np.arange(count, dtype=np.int64) * 7919 + 104_729 * (seed + 1)) % 1009
    return (values.astype(np.float32) / np.float32(1008) - np.float32(0.5)).reshape(shape)
