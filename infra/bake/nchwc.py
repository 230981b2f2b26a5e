"""Convert a graph with blocked channels to another block size: 16 (AVX-512) <-> 8 (AVX, AVX2).

onnxruntime's fastest graphs store channels in blocks (operators of `com.microsoft.nchwc`), and its optimiser writes
their weights for the block size of the CPU that it runs on. On a CPU with the other block size such a graph runs
without an error, but its output is wrong. So a bundle needs one graph for each block size; onnxruntime writes the one
for this CPU, and this module converts it to the other.

From onnxruntime's source: a filter [O, I, H, W] is stored as [O/B, I/B, H, W, B of I, B of O]; a filter that is
depthwise, or whose input is not blocked, as [O/B, I, H, W, B of O] (`mlas/lib/reorder.cpp`). O and I are padded with
zeros to whole blocks, and whether a filter is blocked depends on O and I (`core/optimizer/nchwc_transformer.cc`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

DOMAIN = "com.microsoft.nchwc"
SIZES = (16, 8)

Floats = npt.NDArray[np.float32]

# Element-wise operators may lie between blocked ones: neither the order of channels nor padding changes their result.
_ELEMENTWISE = frozenset(
    {"Add", "Clip", "Erf", "Gelu", "HardSigmoid", "LeakyRelu", "Mul", "QuickGelu", "Relu", "Sigmoid", "Sum", "Tanh"}
)
# Blocked operators that process each channel alone.
_CHANNELWISE = frozenset({"MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "Upsample"})


class BlockSizeError(Exception):
    """The graph cannot be converted to the other block size; the text says why."""


def is_blocked(model: onnx.ModelProto) -> bool:
    """Whether a graph has blocked channels."""
    return any(node.domain == DOMAIN for node in model.graph.node)


def entering(model: onnx.ModelProto) -> list[str]:
    """Names of the tensors that are converted to blocks."""
    return [node.input[0] for node in model.graph.node if node.domain == DOMAIN and node.op_type == "ReorderInput"]


def entering_last(model: onnx.ModelProto) -> set[str]:
    """Those of `entering(model)` in channels-last layout: (N, H, W, C)."""
    reorders = [node for node in model.graph.node if node.domain == DOMAIN and node.op_type == "ReorderInput"]
    return {
        node.input[0] for node in reorders if any(each.name == "channels_last" and each.i for each in node.attribute)
    }


def reblock(model: onnx.ModelProto, size: int, target: int, channels: Mapping[str, int]) -> onnx.ModelProto:
    """Convert a graph to another block size.

    Args:
        model: the graph, without external data; it is not changed.
        size: the graph's block size.
        target: the block size of the result.
        channels: the number of channels of each tensor of `entering(model)`.

    Raises:
        BlockSizeError: with the target block size onnxruntime would choose other operators, so converting the weights
            is not enough.
    """
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(model)
    weights = {tensor.name: tensor for tensor in rewritten.graph.initializer}
    padded = _PaddedChannels.of(model, weights, channels, size, target)
    for node in rewritten.graph.node:
        if node.domain == DOMAIN and node.op_type == "Conv":
            filters, *bias = (weights[name] for name in node.input[1:3] if name)
            converted = _convert_filter(node, numpy_helper.to_array(filters), size, target, padded)
            filters.CopyFrom(numpy_helper.from_array(converted, filters.name))
            for tensor in bias:
                values = _resized(numpy_helper.to_array(tensor), 0, len(converted), node.name)
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return rewritten


@dataclass
class _PaddedChannels:
    """The number of channels, with padding, of each blocked tensor of the result.

    Tensors that are added to each other, and the input and output of a channel-wise operator, have the same number
    (a union-find structure joins them). A tensor that is converted to or from blocks has the next multiple of the block
    size, because that operator pads by itself; a tensor between two convolutions may have any multiple.

    Attributes:
        target: the block size of the result.
        same: tensor to its parent in the union-find structure.
        padded: number of channels with padding at the original block size.
        real: number of channels without padding, of tensors that are converted to or from blocks.
    """

    target: int
    same: dict[str, str] = field(default_factory=dict)
    padded: dict[str, int] = field(default_factory=dict)
    real: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: onnx.ModelProto,
        weights: Mapping[str, onnx.TensorProto],
        channels: Mapping[str, int],
        size: int,
        target: int,
    ) -> "_PaddedChannels":
        padded, used = cls(target), set[str]()
        for node in model.graph.node:
            if node.domain == DOMAIN:
                if used & set(node.input[1:3]):
                    raise BlockSizeError(f"{node.name} shares its weights with another operator")
                used |= set(node.input[1:3]) - {""}
                padded.add_blocked(node, weights, channels, size)
            elif any(name in padded for name in node.input):
                padded.add_elementwise(node, weights)
        if any(output.name in padded for output in model.graph.output):
            raise BlockSizeError("an output of the graph is blocked")
        return padded

    def __contains__(self, name: str) -> bool:
        return name in self.same

    def __getitem__(self, name: str) -> int:
        root = self._root(name)
        return _round_up(self.real.get(root, self.padded[root]), self.target)

    def add_blocked(
        self,
        node: onnx.NodeProto,
        weights: Mapping[str, onnx.TensorProto],
        channels: Mapping[str, int],
        size: int,
    ) -> None:
        """Add the output of a blocked operator."""
        source, output = node.input[0], node.output[0]
        if node.op_type == "ReorderInput":
            self._new(output, _round_up(channels[source], size), channels[source])
        elif node.op_type == "ReorderOutput":
            self.real[self._root(source)] = _attribute(node, "channels")
        elif node.op_type == "Conv":
            self._new(output, weights[node.input[1]].dims[0])
            if _is_depthwise(node, weights[node.input[1]].dims):
                self._join(output, source)
            if len(node.input) > 3:
                self._join(output, node.input[3])
        elif node.op_type in _CHANNELWISE:
            self.same[output] = self._root(source)
        else:
            raise BlockSizeError(f"{node.op_type} is an unknown blocked operator")

    def add_elementwise(self, node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> None:
        """Add the output of an element-wise operator with a blocked input."""
        constants = [weights[name] for name in node.input if name in weights]
        blocked = [name for name in node.input if name in self]
        plain = len(blocked) + len(constants) != len(node.input)
        if node.op_type not in _ELEMENTWISE or plain or any(np.prod(tensor.dims) > 1 for tensor in constants):
            raise BlockSizeError(f"{node.op_type} {node.name} has a blocked input and is not element-wise")
        self.same[node.output[0]] = self._root(blocked[0])
        for name in blocked[1:]:
            self._join(node.output[0], name)

    def _new(self, name: str, padded: int, real: int | None = None) -> None:
        self.same[name], self.padded[name] = name, padded
        if real is not None:
            self.real[name] = real

    def _root(self, name: str) -> str:
        while self.same[name] != name:
            name = self.same[name]
        return name

    def _join(self, one: str, other: str) -> None:
        kept, joined = self._root(one), self._root(other)
        if kept != joined:
            self.same[joined] = kept
            if joined in self.real:
                self.real[kept] = self.real[joined]


def _convert_filter(node: onnx.NodeProto, filters: Floats, size: int, target: int, padded: _PaddedChannels) -> Floats:
    """Convert the filters of a convolution to the target block size; adjusts its attribute `group`."""
    outputs, inputs = filters.shape[:2]
    wanted, source = padded[node.output[0]], node.input[0]
    group = next(attribute for attribute in node.attribute if attribute.name == "group")
    if _is_depthwise(node, filters.shape):
        group.i = wanted
        return _to_blocks(_resized(_from_blocks(filters, size, 1), 0, wanted, node.name), target, 1)
    if source not in padded:
        if inputs >= target:
            raise BlockSizeError(f"{node.name} reads {inputs} channels that are not blocked")
        return _to_blocks(_resized(_from_blocks(filters, size, 1), 0, wanted, node.name), target, 1)
    if group.i > 1:
        per_group = outputs // group.i
        if inputs % target or per_group % target or (wanted, padded[source]) != (outputs, inputs * group.i):
            raise BlockSizeError(f"{node.name} has groups of {inputs} to {per_group} channels")
        return _to_blocks(_from_blocks(filters, size, size), target, target)
    plain = _resized(_from_blocks(filters, size, size), 0, wanted, node.name)
    return _to_blocks(_resized(plain, 1, padded[source], node.name), target, target)


def _is_depthwise(node: onnx.NodeProto, shape: Sequence[int]) -> bool:
    return _attribute(node, "group") > 1 and shape[1] == 1


def _attribute(node: onnx.NodeProto, name: str) -> int:
    return next(int(attribute.i) for attribute in node.attribute if attribute.name == name)


def _from_blocks(filters: Floats, outputs: int, inputs: int) -> Floats:
    """Convert [O/o, I/i, H, W, i, o] to [O, I, H, W]."""
    o, i, height, width = filters.shape
    blocks = filters.reshape(o // outputs, i // inputs, height, width, inputs, outputs)
    return blocks.transpose(0, 5, 1, 4, 2, 3).reshape(o, i, height, width)


def _to_blocks(filters: Floats, outputs: int, inputs: int) -> Floats:
    """Convert [O, I, H, W] to the order [O/o, I/i, H, W, i, o]; the declared shape stays [O, I, H, W]."""
    o, i, height, width = filters.shape
    blocks = filters.reshape(o // outputs, outputs, i // inputs, inputs, height, width)
    return np.ascontiguousarray(blocks.transpose(0, 2, 4, 5, 3, 1)).reshape(o, i, height, width)


def _resized(values: Floats, axis: int, length: int, name: str) -> Floats:
    """Add zeros at the end of an axis, or remove zeros there, until it has `length` entries."""
    missing = length - values.shape[axis]
    if missing >= 0:
        padding = [(0, 0)] * values.ndim
        padding[axis] = (0, missing)
        return np.pad(values, padding)
    kept, cut = np.split(values, [length], axis)
    if cut.any():
        raise BlockSizeError(f"{name} has more than {length} channels")
    return kept


def _round_up(count: int, size: int) -> int:
    return -(-count // size) * size
