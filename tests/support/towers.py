"""A small text tower with random weights, for tests that do not need meaningful vectors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from tests.support.clip_bpe import VOCABULARY_SIZE

CONTEXT = 77
WIDTH = 8
DIM = 24

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Tower:
    """The mean of all positions, including the padding, plus the first end token (the highest id), projected.

    Attributes:
        tokens: (vocabulary, WIDTH).
        positions: (context, WIDTH).
        projection: (WIDTH, dim).
    """

    tokens: Array
    positions: Array
    projection: Array

    def expect(self, ids: list[int], known: int = CONTEXT) -> Array:
        """The graph's expected output for token ids; only the first `known` are not masked."""
        rows = self.tokens[ids] + self.positions
        vector: Array = (rows[:known].mean(axis=0) + rows[ids.index(max(ids))]) @ self.projection
        return vector

    def write(
        self,
        path: Path,
        *,
        dtype: int = TensorProto.INT64,
        names: tuple[str, ...] = ("input_ids",),
        output: str = "text_embeds",
        shape: tuple[int | str, int | str] = ("batch_size", "sequence_length"),
    ) -> Path:
        """Write the graph; a second name in `names` is the attention mask."""
        graph = helper.make_graph(
            [*_pool(names), *_project(output)],
            "text",
            [helper.make_tensor_value_info(name, dtype, shape) for name in names],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [shape[0], self.projection.shape[1]])],
            [
                numpy_helper.from_array(self.tokens, "tokens"),
                numpy_helper.from_array(self.positions, "positions"),
                numpy_helper.from_array(self.projection, "projection"),
                numpy_helper.from_array(np.array([2], dtype=np.int64), "last_axis"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())
        return path


def make_tower(
    *, vocabulary: int = VOCABULARY_SIZE, context: int = CONTEXT, dim: int = DIM, gain: float = 1.0
) -> Tower:
    """A tower with random weights, always the same ones."""
    noise = np.random.default_rng(4)

    def weights(*shape: int) -> Array:
        return noise.standard_normal(shape, dtype=np.float32)

    return Tower(weights(vocabulary, WIDTH), weights(context, WIDTH), weights(WIDTH, dim) * np.float32(gain))


def _pool(names: tuple[str, ...]) -> list[NodeProto]:
    nodes = [
        _node("Cast", [names[0]], "wide_ids", to=TensorProto.INT64),
        _node("Gather", ["tokens", "wide_ids"], "looked_up"),
        _node("Add", ["looked_up", "positions"], "rows"),
    ]
    if len(names) == 1:
        return [*nodes, _node("ReduceMean", ["rows"], "mean", axes=[1], keepdims=0)]
    return [
        *nodes,
        _node("Cast", [names[1]], "mask", to=TensorProto.FLOAT),
        _node("Unsqueeze", ["mask", "last_axis"], "column"),
        _node("Mul", ["rows", "column"], "known"),
        _node("ReduceMean", ["known"], "known_mean", axes=[1], keepdims=0),
        _node("ReduceMean", ["column"], "share", axes=[1], keepdims=0),
        _node("Div", ["known_mean", "share"], "mean"),
    ]


def _project(output: str) -> list[NodeProto]:
    return [
        _node("ArgMax", ["wide_ids"], "end", axis=1, keepdims=1),
        _node("GatherND", ["rows", "end"], "end_row", batch_dims=1),
        _node("Add", ["mean", "end_row"], "pooled"),
        _node("MatMul", ["pooled", "projection"], output),
    ]


def _node(kind: str, inputs: list[str], output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(kind, inputs, [output], **attributes)
