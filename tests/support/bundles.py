"""A bundle of a tiny encoder, for tests that do not need meaningful vectors."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import orjson
from onnx import TensorProto, helper, numpy_helper

from handler.model.fingerprint import DECODE_POLICY, fingerprint_of
from handler.model.spec import BUNDLE_FORMAT

SIZE = 32
DIM = 48


def write_tiny_bundle(bundle: Path, *, name: str = "tiny", gain: float | Sequence[float] = 1.0) -> Path:
    """Write an encoder whose vector is (mean colour - 0.5) * `gain` for each cell of a 4 x 4 grid.

    Args:
        bundle: the folder to write.
        name: of the model.
        gain: one number, or one for each of the 48 numbers of a vector: 16 cells of red, of green and of blue.
    """
    nodes = [
        helper.make_node("AveragePool", ["image"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["cells"], ["flat"]),
        helper.make_node("Mul", ["flat", "gain"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", DIM])],
        [numpy_helper.from_array(np.array(gain, dtype=np.float32, ndmin=1), "gain")],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10).SerializeToString()
    onnx.checker.check_model(data)
    bundle.mkdir(parents=True)
    (bundle / "image.onnx").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    spec: dict[str, Any] = {
        "format": BUNDLE_FORMAT,
        "decode_policy": DECODE_POLICY,
        "name": name,
        "embedding_dim": DIM,
        "file": "image.onnx",
        "bytes": len(data),
        "sha256": digest,
        "content_sha256": digest,
        "input_name": "image",
        "output_name": "features",
        "input_size": SIZE,
        "resize_size": SIZE,
        "resize_mode": "shortest_side",
        "interpolation": "bilinear",
        "crop": "center",
        "channel_order": "rgb",
        "divisor": 255,
        "mean": [0.5, 0.5, 0.5],
        "std": [1, 1, 1],
        "canonical_vector": [0.0] * DIM,
        "prepared": [],
        "prepared_by": "",
        "canary_output": [],
    }
    spec["fingerprint"] = fingerprint_of(digest, "features", spec)
    (bundle / "model.json").write_bytes(orjson.dumps(spec))
    return bundle


def add_canonical_vector(bundle: Path) -> Path:
    """Write the canonical vector into `model.json`, so that `{"check": true}` succeeds; returns the bundle."""
    from handler.model.encoder import load_encoder
    from handler.model.self_check import embed_test_card

    fields = orjson.loads((bundle / "model.json").read_bytes())
    fields["canonical_vector"] = embed_test_card(load_encoder(bundle)).tolist()
    (bundle / "model.json").write_bytes(orjson.dumps(fields))
    return bundle
