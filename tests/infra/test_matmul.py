"""Matrix products with the weights as left operand: the same numbers, and nothing to pack at load."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from handler.model.prepared import prepared_options
from infra.bake import matmul

FUSED = "com.microsoft"

Floats = npt.NDArray[np.float32]


def product(shape: list[Any], weights: tuple[int, int], domain: str = "", **attributes: Any) -> onnx.ModelProto:
    """A model with one product of x by weights."""
    values = np.random.default_rng(0).standard_normal(weights).astype(np.float32)
    node = helper.make_node("FusedMatMul" if domain else "MatMul", ["x", "w"], ["y"], domain=domain, **attributes)
    body = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, "w")],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)]
    return helper.make_model(body, opset_imports=imports, ir_version=8)


def run(model: onnx.ModelProto, pixels: Floats) -> Floats:
    session = ort.InferenceSession(model.SerializeToString(), prepared_options(1), providers=["CPUExecutionProvider"])
    found: Floats = session.run(None, {session.get_inputs()[0].name: pixels})[0]
    return found


def rewrite(model: onnx.ModelProto) -> onnx.ModelProto:
    return matmul.weights_first(model, dict.fromkeys(matmul.multiplied(model), shape_of(model)))


CASES = {
    "tokens": product(["n", 16, 64], (64, 24)),
    "tokens transposed": product(["n", 64, 16], (64, 24), FUSED, transA=1),
    "weights transposed": product(["n", 16, 64], (24, 64), FUSED, transB=1),
    "both transposed, and a factor": product(["n", 64, 16], (24, 64), FUSED, transA=1, transB=1, alpha=0.25),
    "no batch": product([16, 64], (64, 24)),
}


def shape_of(model: onnx.ModelProto, batch: int = 1) -> list[int]:
    return [size.dim_value or batch for size in model.graph.input[0].type.tensor_type.shape.dim]


def numbers(shape: list[int]) -> Floats:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_the_numbers_are_the_same(name: str, batch: int) -> None:
    model = CASES[name]
    rewritten = rewrite(model)
    assert [node.op_type for node in rewritten.graph.node] == ["FusedMatMul", "Transpose"]
    assert rewritten.graph.node[0].input[1] == "x"
    assert len(rewritten.graph.initializer) == 1
    pixels = numbers(shape_of(model, batch))
    assert np.allclose(run(rewritten, pixels), run(model, pixels), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        product(["n", 64], (64, 24)),
        product(["n", 32, 64], (64, 24)),
        product(["n", 10, 64], (64, 24)),
        product([4, 16, 64], (64, 24)),
        product([1, 4, 16, 64], (64, 24)),
    ],
    ids=["one row", "too many rows", "rows that do not fill a register", "a batch of small products", "channels last"],
)
def test_products_that_would_be_slower_stay_unchanged(model: onnx.ModelProto) -> None:
    assert rewrite(model).SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)


def test_weights_that_another_operator_uses_are_kept() -> None:
    model = product([16, 64], (64, 64))
    model.graph.node.append(helper.make_node("MatMul", ["w", "w"], ["v"]))
    model.graph.node.append(helper.make_node("MatMul", ["y", "v"], ["z"]))
    model.graph.output[0].name = "z"
    pixels = numbers([16, 64])
    assert np.allclose(run(rewrite(model), pixels), run(model, pixels), rtol=1e-3, atol=1e-3)


def test_weights_that_a_branch_uses_are_kept() -> None:
    model = product([16, 64], (64, 64))
    branches = {}
    for name, operator in (("then_branch", "Add"), ("else_branch", "Sub")):
        used = helper.make_node("MatMul", ["y", "w"], [f"{name}_w"])
        biased = helper.make_node(operator, [f"{name}_w", "bias"], [f"{name}_y"])
        out = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, None)
        branches[name] = helper.make_graph([used, biased], name, [], [out])
    model.graph.initializer.append(numpy_helper.from_array(np.ones((), np.bool_), "yes"))
    model.graph.initializer.append(numpy_helper.from_array(np.ones(64, np.float32), "bias"))
    model.graph.node.append(helper.make_node("If", ["yes"], ["z"], **branches))
    model.graph.output[0].name = "z"
    pixels = numbers([16, 64])
    rewritten = rewrite(model)
    assert rewritten.graph.node[0].op_type == "FusedMatMul"
    assert np.allclose(run(rewritten, pixels), run(model, pixels), rtol=1e-3, atol=1e-3)


def test_existing_names_are_not_reused() -> None:
    model = product([16, 64], (64, 64))
    for node in model.graph.node:
        node.input[1] = "y_weights"
    model.graph.initializer[0].name = "y_weights"
    model.graph.node.append(helper.make_node("Add", ["y", "y_turned"], ["z"]))
    model.graph.initializer.append(numpy_helper.from_array(np.ones(64, np.float32), "y_turned"))
    model.graph.output[0].name = "z"
    pixels = numbers([16, 64])
    assert np.allclose(run(rewrite(model), pixels), run(model, pixels), rtol=1e-5, atol=1e-5)


def test_the_argument_is_not_changed() -> None:
    model = CASES["tokens"]
    before = model.SerializeToString(deterministic=True)
    rewrite(model)
    assert model.SerializeToString(deterministic=True) == before


def test_the_largest_padding_decides_which_rows_are_worth_it() -> None:
    model = product(["n", 77, 320], (320, 24))
    shapes = dict.fromkeys(matmul.multiplied(model), shape_of(model))
    assert [node.op_type for node in matmul.weights_first(model, shapes).graph.node] == ["MatMul"]
    assert [node.op_type for node in matmul.weights_first(model, shapes, 2 / 80).graph.node] == ["MatMul"]
    rewritten = matmul.weights_first(model, shapes, 3 / 80)
    assert [node.op_type for node in rewritten.graph.node] == ["FusedMatMul", "Transpose"]
    tokens = numbers(shape_of(model))
    assert np.allclose(run(rewritten, tokens), run(model, tokens), rtol=1e-4, atol=1e-4)
