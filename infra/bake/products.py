"""Matrix products with the weights on the left: X W = (W' X')', where ' transposes.

onnxruntime reads the left matrix of a product where it lies, but copies the right one into panels first, once at load
where it is constant (`core/providers/cpu/math/matmul.cc`, `MatMul::PrePack`; `mlas/lib/sgemm.cpp`). On the left,
weights stay in the mapped file: nothing is copied at load, nor with any image. X' is written once more instead, which
is less as long as X has fewer rows than the weights.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Rows of the weights for each row of X, at the least: a transposition moves a number more slowly than a copy.
_WORTH = 4

_PRODUCTS = {("", "MatMul"), ("com.microsoft", "FusedMatMul")}


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
    nodes = [
        new
        for node in graph.node
        for new in (
            _turned(node, graph, weights, len(shapes[node.input[0]]))
            if _takes_weights(node, weights) and _is_worth_it(node, weights, shapes)
            else [node]
        )
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    if not any(entry.domain == "com.microsoft" for entry in rewritten.opset_import):
        rewritten.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return rewritten


def _takes_weights(node: onnx.NodeProto, weights: Mapping[str, TensorProto]) -> bool:
    if (node.domain, node.op_type) not in _PRODUCTS or node.input[0] in weights or node.input[1] not in weights:
        return False
    right, asked = weights[node.input[1]], _attributes(node)
    if asked.get("transBatchA") or asked.get("transBatchB"):
        return False
    return len(right.dims) == 2 and right.data_type == TensorProto.FLOAT


def _is_worth_it(node: onnx.NodeProto, weights: Mapping[str, TensorProto], shapes: Mapping[str, Sequence[int]]) -> bool:
    shape, asked = shapes[node.input[0]], _attributes(node)
    if len(shape) not in {2, 3} or (len(shape) == 3 and shape[0] != 1):
        return False  # a product for each of many small matrices
    rows = shape[-1 if asked.get("transA") else -2]
    dims = weights[node.input[1]].dims
    return bool(rows * _WORTH <= dims[1 if asked.get("transB") else 0])


def _turned(
    node: onnx.NodeProto, graph: onnx.GraphProto, weights: Mapping[str, TensorProto], rank: int
) -> Iterator[onnx.NodeProto]:
    asked = _attributes(node)
    values = numpy_helper.to_array(weights[node.input[1]])
    left, turned = f"{node.output[0]}_weights", f"{node.output[0]}_turned"
    graph.initializer.append(
        numpy_helper.from_array(values if asked.get("transB") else np.ascontiguousarray(values.T), left)
    )
    yield helper.make_node(
        "FusedMatMul",
        [left, node.input[0]],
        [turned],
        domain="com.microsoft",
        alpha=float(asked.get("alpha", 1)),
        transB=0 if asked.get("transA") else 1,
    )
    order = [*range(rank - 2), rank - 1, rank - 2]
    yield helper.make_node("Transpose", [turned], list(node.output), perm=order)


def _attributes(node: onnx.NodeProto) -> dict[str, float]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
