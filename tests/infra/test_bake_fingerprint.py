"""The fingerprint changes with weights and preprocessing, and with nothing else."""

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from handler.model.fingerprint import DECODE_POLICY, fingerprint_of
from infra.bake.fingerprint import content_hash
from tests.support.onnx_models import with_function

PIXELS: dict[str, Any] = {
    "input_size": 32,
    "resize_size": 32,
    "resize_mode": "shortest_side",
    "interpolation": "bilinear",
    "crop": "center",
    "channel_order": "rgb",
    "divisor": 255.0,
    "mean": [0.5, 0.4, 0.3],
    "std": [1.0, 0.9, 0.8],
}
WEIGHTS = np.linspace(-2, 2, 48, dtype=np.float32)


def model(weights: np.ndarray = WEIGHTS, *, operator: str = "Mul", axis: int = 1, raw: bool = True) -> onnx.ModelProto:
    values = numpy_helper.from_array(weights, "w")
    if not raw:
        values = helper.make_tensor("w", TensorProto.FLOAT, weights.shape, weights.tolist())
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"], axis=axis),
        helper.make_node(operator, ["flat", "w"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 4, 4])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 48])],
        [values],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def of(graph: onnx.ModelProto, **pixels: Any) -> str:
    return fingerprint_of(content_hash(graph.SerializeToString()), "features", PIXELS | pixels)


def test_it_is_a_deterministic_hash() -> None:
    found = of(model())
    assert found == of(model())
    assert len(found) == 64
    assert set(found) <= set("0123456789abcdef")


@given(bit=st.integers(0, WEIGHTS.nbytes * 8 - 1))
def test_one_bit_of_a_weight_changes_it(bit: int) -> None:
    raw = bytearray(WEIGHTS.tobytes())
    raw[bit // 8] ^= 1 << bit % 8
    assert of(model(np.frombuffer(raw, np.float32))) != of(model())


@pytest.mark.parametrize(
    "pixels",
    [
        {"input_size": 33},
        {"resize_size": 33},
        {"resize_mode": "squash"},
        {"interpolation": "bicubic"},
        {"crop": "none"},
        {"channel_order": "bgr"},
        {"divisor": 1.0},
        {"mean": [0.4, 0.5, 0.3]},
        {"std": [1.0, 0.9, 0.80001]},
    ],
)
def test_every_preprocessing_setting_changes_it(pixels: dict[str, Any]) -> None:
    assert of(model(), **pixels) != of(model())


@pytest.mark.parametrize("other", [model(operator="Add"), model(axis=-3), model(WEIGHTS.reshape(1, 48))])
def test_the_graph_changes_it(other: onnx.ModelProto) -> None:
    assert of(other) != of(model())


def test_the_opset_changes_it() -> None:
    other = model()
    other.opset_import[0].version = 18
    assert of(other) != of(model())


def test_metadata_does_not_change_it() -> None:
    other = model(raw=False)
    other.producer_name, other.producer_version, other.doc_string = "pytorch", "2.13.0", "exported on a Monday"
    other.ir_version = 10
    other.graph.name = "main_graph"
    other.graph.node[0].doc_string = "a node"
    other.graph.value_info.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["batch", 48]))
    other.metadata_props.add(key="author", value="somebody")
    assert of(other) == of(model())


def test_the_order_and_type_of_settings_do_not_change_it() -> None:
    backwards = dict(reversed(PIXELS.items()))
    assert fingerprint_of("0" * 64, "features", backwards) == fingerprint_of("0" * 64, "features", PIXELS)
    assert of(model(), divisor=255, std=[1, 0.9, 0.8], name="another") == of(model())


def test_another_output_or_decode_policy_changes_it() -> None:
    found = {
        fingerprint_of("0" * 64, "features", PIXELS),
        fingerprint_of("0" * 64, "flat", PIXELS),
        fingerprint_of("0" * 64, "features", PIXELS, DECODE_POLICY + 1),
    }
    assert len(found) == 3


def test_numbers_inside_a_function_change_it() -> None:
    assert of(with_function(2)) != of(with_function(-2))
    assert of(with_function(2)) == of(with_function(2))
