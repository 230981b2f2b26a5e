"""Matrix products with the weights on the left: X W = (W' X')', where ' transposes.

onnxruntime reads the left matrix of a product where it lies, but copies the right one into panels first, once at load
where it is constant (`core/providers/cpu/math/matmul.cc`, `MatMul::PrePack`; `mlas/lib/sgemm.cpp`). On the left,
weights stay in the mapped file: nothing is copied at load, nor with any image. What is copied instead, X into panels
and the product back into rows, is less as long as X has few rows.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Rows of the weights for each row of X, at the least. And X has a multiple of so many rows as there are numbers in the
# widest register: with 50 rows, which take as long as 64, a product is slower than one with packed weights.
_WORTH, _LANES = 4, 16

_FUSED = "com.microsoft"
_PRODUCTS = {("", "MatMul"), (_FUSED, "FusedMatMul")}


def multiplied(model: onnx.ModelProto) -> list[str]:
    """Names of the tensors that are multiplied by weights."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    return [node.input[0] for node in model.graph.node if _takes_weights(node, weights)]


def weights_first(model: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> onnx.ModelProto:
    """Rewrite the products of few rows by weights.

    Args:
        model: with all weights inside; it is not changed.
        shapes: of `multiplied(model)`, for a batch of one.
    """
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(model)
    graph = rewritten.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    taken = set(_names(graph))
    nodes, replaced = list[onnx.NodeProto](), set[str]()
    for node in graph.node:
        if _takes_weights(node, weights) and _is_worth_it(node, weights, shapes[node.input[0]]):
            right, rank = weights[node.input[1]], len(shapes[node.input[0]])
            left, product = (_unused(f"{node.output[0]}_{what}", taken) for what in ("weights", "turned"))
            graph.initializer.append(_left(right, left, _attributes(node)))
            nodes += _turned(node, left, product, rank)
            replaced.add(right.name)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    _drop(graph, replaced)
    if not any(entry.domain == _FUSED for entry in rewritten.opset_import):
        rewritten.opset_import.append(helper.make_opsetid(_FUSED, 1))
    return rewritten


def _takes_weights(node: onnx.NodeProto, weights: Mapping[str, TensorProto]) -> bool:
    if (node.domain, node.op_type) not in _PRODUCTS or node.input[0] in weights or node.input[1] not in weights:
        return False
    right, asked = weights[node.input[1]], _attributes(node)
    if asked.get("transBatchA") or asked.get("transBatchB"):
        return False
    return len(right.dims) == 2 and right.data_type == TensorProto.FLOAT


def _is_worth_it(node: onnx.NodeProto, weights: Mapping[str, TensorProto], shape: Sequence[int]) -> bool:
    if len(shape) not in {2, 3} or (len(shape) == 3 and shape[0] != 1):
        return False  # a product for each of many small matrices
    asked, dims = _attributes(node), weights[node.input[1]].dims
    rows = shape[-1 if asked.get("transA") else -2]
    return rows % _LANES == 0 and bool(rows * _WORTH <= dims[1 if asked.get("transB") else 0])


def _left(right: TensorProto, name: str, asked: Mapping[str, float]) -> TensorProto:
    values = numpy_helper.to_array(right)
    return numpy_helper.from_array(values if asked.get("transB") else np.ascontiguousarray(values.T), name)


def _turned(node: onnx.NodeProto, left: str, product: str, rank: int) -> Iterator[onnx.NodeProto]:
    asked = _attributes(node)
    alpha, across = float(asked.get("alpha", 1)), 0 if asked.get("transA") else 1
    yield helper.make_node("FusedMatMul", [left, node.input[0]], [product], domain=_FUSED, alpha=alpha, transB=across)
    order = [*range(rank - 2), rank - 1, rank - 2]
    yield helper.make_node("Transpose", [product], list(node.output), perm=order)


def _attributes(node: onnx.NodeProto) -> dict[str, float]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _drop(graph: onnx.GraphProto, replaced: set[str]) -> None:
    """Take out the weights that nothing names any more."""
    named = set(_used(graph))
    kept = [tensor for tensor in graph.initializer if tensor.name not in replaced - named]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _unused(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _names(graph: onnx.GraphProto) -> Iterator[str]:
    """All names of tensors, those inside of its operators included."""
    yield from _used(graph)
    yield from (tensor.name for tensor in (*graph.initializer, *graph.input))
    for node in graph.node:
        yield from node.output
        for body in _bodies(node):
            yield from _names(body)


def _used(graph: onnx.GraphProto) -> Iterator[str]:
    """Names of the tensors that its operators take, and theirs inside, and of those that it gives."""
    yield from (value.name for value in graph.output)
    for node in graph.node:
        yield from node.input
        for body in _bodies(node):
            yield from _used(body)


def _bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs
