"""Products with their weights on the left: the same numbers, and nothing to pack at load."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from handler.prepared import prepared_options
from infra.bake import products

FUSED = "com.microsoft"


def product(shape: list[Any], weights: tuple[int, int], domain: str = "", **asked: Any) -> onnx.ModelProto:
    """One product of x by weights."""
    values = np.random.default_rng(0).standard_normal(weights).astype(np.float32)
    node = helper.make_node("FusedMatMul" if domain else "MatMul", ["x", "w"], ["y"], domain=domain, **asked)
    body = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, "w")],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)]
    return helper.make_model(body, opset_imports=imports, ir_version=8)


def run(model: onnx.ModelProto, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    session = ort.InferenceSession(model.SerializeToString(), prepared_options(1), providers=["CPUExecutionProvider"])
    found: npt.NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: pixels})[0]
    return found


def turned(model: onnx.ModelProto, shape: list[int]) -> onnx.ModelProto:
    return products.weights_first(model, dict.fromkeys(products.multiplied(model), shape))


CASES = {
    "rows of a batch": product(["n", 64], (64, 24)),
    "tokens": product(["n", 8, 64], (64, 24)),
    "tokens across": product(["n", 64, 8], (64, 24), FUSED, transA=1),
    "weights across": product(["n", 8, 64], (24, 64), FUSED, transB=1),
    "all across, and a factor": product(["n", 64, 8], (24, 64), FUSED, transA=1, transB=1, alpha=0.25),
}


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_the_numbers_are_the_same(name: str, batch: int) -> None:
    model = CASES[name]
    sides = [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim][1:]
    rewritten = turned(model, [1, *sides])
    assert [node.op_type for node in rewritten.graph.node] == ["FusedMatMul", "Transpose"]
    assert rewritten.graph.node[0].input[1] == "x"
    assert len(rewritten.graph.initializer) == 1
    pixels = np.random.default_rng(1).standard_normal((batch, *sides)).astype(np.float32)
    assert np.allclose(run(rewritten, pixels), run(model, pixels), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (product(["n", 17, 64], (64, 24)), [1, 17, 64]),
        (product([4, 8, 64], (64, 24)), [4, 8, 64]),
        (product([1, 8, 8, 64], (64, 24)), [1, 8, 8, 64]),
    ],
    ids=["rows are many", "many small matrices", "channels last"],
)
def test_what_would_cost_more_stays_as_it_is(model: onnx.ModelProto, shape: list[int]) -> None:
    assert turned(model, shape).SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)


def test_weights_that_another_operator_uses_stay_for_it() -> None:
    model = product(["n", 64], (64, 64))
    model.graph.node.append(helper.make_node("Add", ["y", "w"], ["z"]))
    model.graph.output[0].name = "z"
    rewritten = turned(model, [1, 64])
    pixels = np.random.default_rng(1).standard_normal((64, 64)).astype(np.float32)
    assert np.allclose(run(rewritten, pixels), run(model, pixels), rtol=1e-5, atol=1e-5)


def test_the_model_given_is_not_touched() -> None:
    model = CASES["tokens"]
    before = model.SerializeToString(deterministic=True)
    turned(model, [1, 8, 64])
    assert model.SerializeToString(deterministic=True) == before
