"""Rewrite matrix products so that the weights are the left operand: X W = (W' X')', where ' is the transpose.

onnxruntime reads the left operand in place, but copies (packs) the right one into panels, once at load if it is
constant (`core/providers/cpu/math/matmul.cc`, `MatMul::PrePack`; `mlas/lib/sgemm.cpp`). As left operand, weights stay
in the memory-mapped file and are never copied. The cost is packing X and transposing the product for each image, which
is less if X has few rows.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# A product is rewritten if the weights have at least this many rows for each row of X, and if X's rows fill the lanes
# of the widest register, but for a share (`max_padding`): 50 rows take as long as 64, and are slower than with packed
# weights.
_MIN_RATIO, _LANES = 4, 16

_FUSED = "com.microsoft"
_PRODUCTS = {("", "MatMul"), (_FUSED, "FusedMatMul")}


def multiplied(model: onnx.ModelProto) -> list[str]:
    """Names of the tensors that are multiplied by weights."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    return [node.input[0] for node in model.graph.node if _multiplies_weights(node, weights)]


def weights_first(
    model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]], max_padding: float = 0.0
) -> onnx.ModelProto:
    """Rewrite the products that are faster with the weights as left operand.

    Args:
        model: the model, without external data; it is not changed.
        shapes: shapes of the tensors of `multiplied(model)`, for a batch of one.
        max_padding: the largest share of a register's lanes that may stay empty, 0 to 1.
    """
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(model)
    graph = rewritten.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    names = set(_names(graph))
    nodes, replaced = list[onnx.NodeProto](), set[str]()
    for node in graph.node:
        if _multiplies_weights(node, weights) and _is_faster(node, weights, shapes[node.input[0]], max_padding):
            right, rank = weights[node.input[1]], len(shapes[node.input[0]])
            left, product = (_unused(f"{node.output[0]}_{what}", names) for what in ("weights", "turned"))
            graph.initializer.append(_left(right, left, _attributes(node)))
            nodes += _rewritten(node, left, product, rank)
            replaced.add(right.name)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    _drop(graph, replaced)
    if not any(entry.domain == _FUSED for entry in rewritten.opset_import):
        rewritten.opset_import.append(helper.make_opsetid(_FUSED, 1))
    return rewritten


def _multiplies_weights(node: onnx.NodeProto, weights: Mapping[str, TensorProto]) -> bool:
    if (node.domain, node.op_type) not in _PRODUCTS or node.input[0] in weights or node.input[1] not in weights:
        return False
    right, attributes = weights[node.input[1]], _attributes(node)
    if attributes.get("transBatchA") or attributes.get("transBatchB"):
        return False
    return len(right.dims) == 2 and right.data_type == TensorProto.FLOAT


def _is_faster(
    node: onnx.NodeProto, weights: Mapping[str, TensorProto], shape: Sequence[int], max_padding: float
) -> bool:
    if len(shape) not in {2, 3} or (len(shape) == 3 and shape[0] != 1):
        return False  # a batch of small products
    attributes, dims = _attributes(node), weights[node.input[1]].dims
    rows = shape[-1 if attributes.get("transA") else -2]
    padding = -rows % _LANES
    fits = padding <= max_padding * (rows + padding)
    return fits and bool(rows * _MIN_RATIO <= dims[1 if attributes.get("transB") else 0])


def _left(right: TensorProto, name: str, attributes: Mapping[str, float]) -> TensorProto:
    values = numpy_helper.to_array(right)
    return numpy_helper.from_array(values if attributes.get("transB") else np.ascontiguousarray(values.T), name)


def _rewritten(node: onnx.NodeProto, left: str, product: str, rank: int) -> Iterator[onnx.NodeProto]:
    attributes = _attributes(node)
    alpha, transpose = float(attributes.get("alpha", 1)), 0 if attributes.get("transA") else 1
    inputs = [left, node.input[0]]
    yield helper.make_node("FusedMatMul", inputs, [product], domain=_FUSED, alpha=alpha, transB=transpose)
    order = [*range(rank - 2), rank - 1, rank - 2]
    yield helper.make_node("Transpose", [product], list(node.output), perm=order)


def _attributes(node: onnx.NodeProto) -> dict[str, float]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _drop(graph: onnx.GraphProto, replaced: set[str]) -> None:
    """Remove the replaced weights that no operator uses any more."""
    named = set(_used(graph))
    kept = [tensor for tensor in graph.initializer if tensor.name not in replaced - named]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _unused(name: str, names: set[str]) -> str:
    """A name that is not in `names`; adds it to them."""
    while name in names:
        name += "_"
    names.add(name)
    return name


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    """All tensor names of a graph and of its subgraphs."""
    yield from _used(graph)
    yield from (tensor.name for tensor in (*graph.initializer, *graph.input))
    for node in graph.node:
        yield from node.output
        for subgraph in _subgraphs(node):
            yield from _names(subgraph)


def _used(graph: onnx.GraphProto) -> Iterator[str]:
    """Names of a graph's outputs, and of the inputs of its operators and of those in subgraphs."""
    yield from (value.name for value in graph.output)
    for node in graph.node:
        yield from node.input
        for subgraph in _subgraphs(node):
            yield from _used(subgraph)


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs
