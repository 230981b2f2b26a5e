"""Graphs with blocked channels for another CPU: blocks of 16 (AVX-512) <-> blocks of 8 (AVX, AVX2).

onnxruntime's fastest graphs keep channels in blocks (operators of `com.microsoft.nchwc`), and its optimiser writes
their weights for the block size of the CPU that it runs on. On a CPU with the other size such a graph runs and gives
garbage, without an error. So each size gets a graph of its own; this makes the one that the CPU at hand cannot make.

From onnxruntime: a filter [O, I, H, W] is stored as [O/B, I/B, H, W, B of I, B of O], or where it is depthwise or reads
an input that is not in blocks, as [O/B, I, H, W, B of O] (`mlas/lib/reorder.cpp`); O and I are padded with zeros to
whole blocks, and which filters take part depends on O and I (`core/optimizer/nchwc_transformer.cc`).
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

# What may lie between blocked operators: it takes each number alone, so neither order nor padding matters to it.
_ELEMENTWISE = frozenset(
    {"Add", "Clip", "Erf", "Gelu", "HardSigmoid", "LeakyRelu", "Mul", "QuickGelu", "Relu", "Sigmoid", "Sum", "Tanh"}
)
# Blocked operators that hand channels on one by one.
_CHANNELWISE = frozenset({"MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool", "Upsample"})


class BlocksError(Exception):
    """The graph cannot be had for the other block size; the text says why."""


def is_blocked(model: onnx.ModelProto) -> bool:
    """Whether a graph keeps channels in blocks."""
    return any(node.domain == DOMAIN for node in model.graph.node)


def entering(model: onnx.ModelProto) -> list[str]:
    """Names of the tensors whose channels are put into blocks."""
    return [node.input[0] for node in model.graph.node if node.domain == DOMAIN and node.op_type == "ReorderInput"]


def entering_last(model: onnx.ModelProto) -> set[str]:
    """Those of `entering(model)` that have their channels last: (N, H, W, C)."""
    reorders = [node for node in model.graph.node if node.domain == DOMAIN and node.op_type == "ReorderInput"]
    return {
        node.input[0] for node in reorders if any(each.name == "channels_last" and each.i for each in node.attribute)
    }


def reblock(model: onnx.ModelProto, size: int, target: int, channels: Mapping[str, int]) -> onnx.ModelProto:
    """Rewrite a graph for another block size.

    Args:
        model: with all weights inside; it is not changed.
        size: the block size that it was written for.
        target: the one that it is to have.
        channels: how many channels each of `entering(model)` has.

    Raises:
        BlocksError: onnxruntime would have decided otherwise somewhere, so new weights alone do not make it.
    """
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(model)
    weights = {tensor.name: tensor for tensor in rewritten.graph.initializer}
    widths = _Widths.of(model, weights, channels, size, target)
    for node in rewritten.graph.node:
        if node.domain == DOMAIN and node.op_type == "Conv":
            filters, *bias = (weights[name] for name in node.input[1:3] if name)
            moved = _filter(node, numpy_helper.to_array(filters), size, target, widths)
            filters.CopyFrom(numpy_helper.from_array(moved, filters.name))
            for tensor in bias:
                values = _fitted(numpy_helper.to_array(tensor), 0, len(moved), node.name)
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return rewritten


@dataclass
class _Widths:
    """How many channels, with padding, each tensor in blocks is to have.

    Tensors that are added to each other, or that an operator hands on channel by channel, have the same number. Where
    channels enter or leave their blocks the operator pads by itself, so there the number must be the next multiple of
    the block size; between two convolutions any multiple will do.
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
    ) -> "_Widths":
        widths, used = cls(target), set[str]()
        for node in model.graph.node:
            if node.domain == DOMAIN:
                if used & set(node.input[1:3]):
                    raise BlocksError(f"{node.name} shares its weights")
                used |= set(node.input[1:3]) - {""}
                widths.add_blocked(node, weights, channels, size)
            elif any(name in widths for name in node.input):
                widths.add_elementwise(node, weights)
        if any(output.name in widths for output in model.graph.output):
            raise BlocksError("an output is in blocks")
        return widths

    def __contains__(self, name: str) -> bool:
        return name in self.same

    def __getitem__(self, name: str) -> int:
        root = self._root(name)
        return _whole(self.real.get(root, self.padded[root]), self.target)

    def add_blocked(
        self,
        node: onnx.NodeProto,
        weights: Mapping[str, onnx.TensorProto],
        channels: Mapping[str, int],
        size: int,
    ) -> None:
        """Take in an operator of blocked channels."""
        source, made = node.input[0], node.output[0]
        if node.op_type == "ReorderInput":
            self._new(made, _whole(channels[source], size), channels[source])
        elif node.op_type == "ReorderOutput":
            self.real[self._root(source)] = _attribute(node, "channels")
        elif node.op_type == "Conv":
            self._new(made, weights[node.input[1]].dims[0])
            if _is_depthwise(node, weights[node.input[1]].dims):
                self._join(made, source)
            if len(node.input) > 3:
                self._join(made, node.input[3])
        elif node.op_type in _CHANNELWISE:
            self.same[made] = self._root(source)
        else:
            raise BlocksError(f"{node.op_type} is not known")

    def add_elementwise(self, node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> None:
        """Take in an operator that does not know that its channels are in blocks."""
        constants = [weights[name] for name in node.input if name in weights]
        blocked = [name for name in node.input if name in self]
        plain = len(blocked) + len(constants) != len(node.input)
        if node.op_type not in _ELEMENTWISE or plain or any(np.prod(tensor.dims) > 1 for tensor in constants):
            raise BlocksError(f"{node.op_type} {node.name} takes channels in blocks")
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


def _filter(node: onnx.NodeProto, filters: Floats, size: int, target: int, widths: _Widths) -> Floats:
    """The filters of a convolution in blocks of the other size."""
    outputs, inputs = filters.shape[:2]
    wanted, source = widths[node.output[0]], node.input[0]
    group = next(attribute for attribute in node.attribute if attribute.name == "group")
    if _is_depthwise(node, filters.shape):
        group.i = wanted
        return _to_blocks(_fitted(_from_blocks(filters, size, 1), 0, wanted, node.name), target, 1)
    if source not in widths:
        if inputs >= target:
            raise BlocksError(f"{node.name} reads {inputs} channels")
        return _to_blocks(_fitted(_from_blocks(filters, size, 1), 0, wanted, node.name), target, 1)
    if group.i > 1:
        per_group = outputs // group.i
        if inputs % target or per_group % target or (wanted, widths[source]) != (outputs, inputs * group.i):
            raise BlocksError(f"{node.name} has groups of {inputs} to {per_group} channels")
        return _to_blocks(_from_blocks(filters, size, size), target, target)
    plain = _fitted(_from_blocks(filters, size, size), 0, wanted, node.name)
    return _to_blocks(_fitted(plain, 1, widths[source], node.name), target, target)


def _is_depthwise(node: onnx.NodeProto, shape: Sequence[int]) -> bool:
    return _attribute(node, "group") > 1 and shape[1] == 1


def _attribute(node: onnx.NodeProto, name: str) -> int:
    return next(int(attribute.i) for attribute in node.attribute if attribute.name == name)


def _from_blocks(filters: Floats, outputs: int, inputs: int) -> Floats:
    """[O/o, I/i, H, W, i, o] -> [O, I, H, W]."""
    o, i, height, width = filters.shape
    blocks = filters.reshape(o // outputs, i // inputs, height, width, inputs, outputs)
    return blocks.transpose(0, 5, 1, 4, 2, 3).reshape(o, i, height, width)


def _to_blocks(filters: Floats, outputs: int, inputs: int) -> Floats:
    """[O, I, H, W] -> [O/o, I/i, H, W, i, o], under the shape that the operator is told."""
    o, i, height, width = filters.shape
    blocks = filters.reshape(o // outputs, outputs, i // inputs, inputs, height, width)
    return np.ascontiguousarray(blocks.transpose(0, 2, 4, 5, 3, 1)).reshape(o, i, height, width)


def _fitted(values: Floats, axis: int, length: int, name: str) -> Floats:
    """Pad with zeros at the end of an axis, or take zeros off there."""
    missing = length - values.shape[axis]
    if missing >= 0:
        padding = [(0, 0)] * values.ndim
        padding[axis] = (0, missing)
        return np.pad(values, padding)
    kept, cut = np.split(values, [length], axis)
    if cut.any():
        raise BlocksError(f"{name} has more than {length} channels")
    return kept


def _whole(count: int, size: int) -> int:
    return -(-count // size) * size
