"""A small graph with every kind of blocked operator that onnxruntime makes of an image encoder.

On a CPU with another block size its output is wrong, which a run of a millisecond shows; see `handler.model.prepared`.
It takes `handler.model.prepared.canary_pixels()` and returns 32 numbers.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from handler.model.prepared import CANARY_INPUT, CANARY_OUTPUT, CANARY_SIDE

OPSET, IR_VERSION = 17, 8

# The stem's filters become a multiple of 16 only by padding, so the width of the blocks can be read off their shape.
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
    """Build it, not optimised."""
    graph = _Graph()
    stem = graph.add("Relu", [graph.conv(CANARY_INPUT, (STEM_CHANNELS, 3, 3, 3), strides=[2, 2])])
    flow = graph.add("Relu", [graph.conv(stem, (_WIDE, STEM_CHANNELS, 1, 1))])
    flow = graph.add("Relu", [graph.conv(flow, (_WIDE, 1, 3, 3), group=_WIDE)])
    flow = graph.add("Add", [graph.conv(flow, (STEM_CHANNELS, _WIDE, 1, 1)), stem])
    flow = graph.add("AveragePool", [flow], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    flow = graph.add("Relu", [graph.conv(flow, (_LAST, STEM_CHANNELS, 1, 1))])
    flow = graph.conv(flow, (_LAST, _LAST // 2, 3, 3), group=2)
    flow = graph.add("MaxPool", [flow], kernel_shape=[2, 2], strides=[2, 2])
    flow = graph.add("Softmax", [flow], axis=1)  # wants its channels in a row: out of the blocks, and in again
    flow = graph.conv(flow, (_LAST, _LAST, 1, 1))
    pooled = graph.add("GlobalAveragePool", [flow])
    graph.nodes.append(helper.make_node("Flatten", [pooled], [CANARY_OUTPUT], name=CANARY_OUTPUT, axis=1))
    pixels = helper.make_tensor_value_info(CANARY_INPUT, TensorProto.FLOAT, [1, 3, CANARY_SIDE, CANARY_SIDE])
    song = helper.make_tensor_value_info(CANARY_OUTPUT, TensorProto.FLOAT, [1, _LAST])
    body = helper.make_graph(graph.nodes, "canary", [pixels], [song], graph.weights)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _numbers(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float32]:
    """Numbers in -0.5 to 0.5 that are the same everywhere and never twice in a row."""
    count = int(np.prod(shape))
    values = (np.arange(count, dtype=np.int64) * 7919 + 104_729 * (seed + 1)) % 1009
    return (values.astype(np.float32) / np.float32(1008) - np.float32(0.5)).reshape(shape)
