"""A tower -> prepared graphs, which load fast: one for each block size, with its canary.

`handler.model.prepared` explains why, `infra.bake.nchwc` converts a graph to the block size that this CPU does not
have, and `infra.bake.matmul` adds an optimisation that onnxruntime does not have.
"""

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from handler.model.bundle_files import sample_sha256
from handler.model.encoder import Vector
from handler.model.prepared import (
    CANARY_INPUT,
    CANARY_OUTPUT,
    base_options,
    canary_matches,
    canary_pixels,
    prepared_options,
)
from handler.model.self_check import cosine_of
from handler.model.spec import BundleFile, PreparedGraph
from infra.bake import matmul, nchwc
from infra.bake.canary import STEM_CHANNELS, canary
from infra.common.errors import OperatorError, first_line
from infra.common.hashing import file_sha256

_QUANTISED = re.compile("Quant|QLinear|Integer|QAttention|QGemm")

# Weights of at least this size move to the weights file, each aligned to a cache line; smaller ones stay in the graph.
_EXTERNAL_BYTES, _ALIGNMENT = 1024, 64


Inputs = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Tower:
    """A tower to prepare, with an example to verify the prepared graphs with.

    Attributes:
        name: the model's name, for messages.
        inputs: the example's inputs by name, for a batch of one; only these inputs are kept.
        output: the name of the output; only this output is kept.
        vector: the original model's vector of the example.
        min_cosine: of that vector and a prepared graph's.
        prefix: put before the names of the prepared graphs.
        max_padding: see `infra.bake.matmul.weights_first`.
    """

    name: str
    inputs: Inputs
    output: str
    vector: Vector
    min_cosine: float
    prefix: str = ""
    max_padding: float = 0.0


@dataclass(frozen=True)
class Preparation:
    """The result of `prepare`.

    Attributes:
        prepared: the prepared graphs, the largest block size first.
        canary_output: the output of a canary on a CPU that it fits.
        note: why there is no graph for the other block size; empty if there is one, or if none is needed.
    """

    prepared: tuple[PreparedGraph, ...]
    canary_output: npt.NDArray[np.float32]
    note: str

    def fields(self) -> dict[str, object]:
        """Fields of `model.json`."""
        return {
            "prepared_by": ort.__version__,
            "prepared": [asdict(entry) for entry in self.prepared],
            "canary_output": self.canary_values(),
        }

    def canary_values(self) -> list[float]:
        """The canary's output as numbers of `model.json`."""
        return [float(f"{value:.9g}") for value in self.canary_output.ravel()]


def prepare(graph: bytes, tower: Tower, bundle: Path) -> Preparation:
    """Write prepared graphs of a tower into a bundle, and verify each.

    The graph for this CPU is verified by running it. The graph for the other block size cannot run here, so it is
    converted back to this CPU's block size and the result is run: a wrong conversion changes the vector.

    Args:
        graph: the original model, as an ONNX file without external data.
        tower: its names and the example.
        bundle: the bundle's directory.

    Raises:
        OperatorError: onnxruntime cannot optimise the model, or the optimised graph gives another vector.
    """
    try:
        return _prepare(graph, tower, bundle)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a dozen unrelated types, also if the disk is full
        raise OperatorError(
            f"{tower.name} cannot be prepared ({first_line(error)}); check that the disk has room and that onnxruntime "
            "can run the model"
        ) from None


def _prepare(graph: bytes, tower: Tower, bundle: Path) -> Preparation:
    plain = canary()
    expected_output = _canary_output(plain, base_options(1))
    model = _with_fixed_shape(graph, tower)
    quantised = sorted({node.op_type for node in model.graph.node if _QUANTISED.search(node.op_type)})
    if quantised:  # their optimised form depends on properties of the CPU that the canary does not test
        return Preparation((), expected_output, f"not prepared: it is quantised ({', '.join(quantised)})")
    ready = _with_weights_first(optimised(model, bundle), tower)
    _verify(ready, tower)
    if not nchwc.is_blocked(ready):
        return Preparation((_write(ready, None, f"{tower.prefix}optimised", bundle),), expected_output, "")
    blocked_canary = optimised(plain, bundle)
    if not canary_matches(_canary_output(blocked_canary, prepared_options(1)), expected_output):
        raise ValueError("the canary's output changed when onnxruntime optimised it for this CPU")
    here = block_size(blocked_canary)
    made = {here: (ready, blocked_canary)}
    canary_inputs = {CANARY_INPUT: canary_pixels()}
    note = ""
    for other in set(nchwc.SIZES) - {here}:
        try:
            other_canary = _reblocked(blocked_canary, here, other, canary_inputs)
            made[other] = _reblocked(ready, here, other, tower.inputs), other_canary
            _verify(nchwc.reblock(made[other][0], other, here, channels(ready, tower.inputs)), tower)
        except (nchwc.BlockSizeError, WrongGraphError) as error:
            made.pop(other, None)
            note = f"no graph for blocks of {other} ({error}): CPUs with this block size load the original model"
    names = {size: f"{tower.prefix}blocks-{size}" for size in sorted(made, reverse=True)}
    return Preparation(tuple(_write(*made[size], name, bundle) for size, name in names.items()), expected_output, note)


class WrongGraphError(Exception):
    """A graph does not run or gives another vector than the model; the text says which."""


def _verify(model: onnx.ModelProto, tower: Tower) -> None:
    """Run a graph on the example, and compare its vector with the original model's.

    Raises:
        WrongGraphError: it does not run, or gives another vector than the model.
    """
    try:
        session = ort.InferenceSession(
            model.SerializeToString(), prepared_options(1), providers=["CPUExecutionProvider"]
        )
        vector = session.run([tower.output], dict(tower.inputs))[0][0]
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a dozen unrelated types
        raise WrongGraphError(f"it does not run: {first_line(error, 200)}") from None
    cosine = cosine_of(vector, tower.vector)
    if not cosine >= tower.min_cosine:
        raise WrongGraphError(f"it gives another vector than the original model, cosine {cosine:.7f}")


def _with_fixed_shape(graph: bytes, tower: Tower) -> onnx.ModelProto:
    """The model with only the tower's inputs and output, and with input shapes that are fixed except the batch."""
    model = onnx.load_from_string(graph)
    # Old exports also list their weights as inputs.
    for values, names in ((model.graph.input, set(tower.inputs)), (model.graph.output, {tower.output})):
        kept = [value for value in values if value.name in names]
        del values[:]
        values.extend(kept)
    for value in model.graph.input:
        dimensions = value.type.tensor_type.shape.dim[1:]
        for dimension, number in zip(dimensions, tower.inputs[value.name].shape[1:], strict=True):
            dimension.dim_value = number
    return model


def optimised(model: onnx.ModelProto, folder: Path | None = None) -> onnx.ModelProto:
    """Optimise a model with onnxruntime for this CPU; `folder` holds a temporary file (None: the system's folder)."""
    with tempfile.TemporaryDirectory(prefix=".optimised-", dir=folder) as scratch:
        path = Path(scratch) / "optimised.onnx"
        options = base_options(1)
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return _reproducible(onnx.load(path))


def _with_weights_first(model: onnx.ModelProto, tower: Tower) -> onnx.ModelProto:
    shapes = _shapes(model, matmul.multiplied(model), tower.inputs)
    return _reproducible(matmul.weights_first(model, shapes, tower.max_padding))


def _reproducible(model: onnx.ModelProto) -> onnx.ModelProto:
    """Rename nodes and sort weights, so that every run gives the same bytes: onnxruntime's order is random."""
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    weights = sorted(model.graph.initializer, key=lambda tensor: tensor.name)
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)
    return model


def block_size(optimised_canary: onnx.ModelProto) -> int:
    """The block size of an optimised canary: its stem's filters are padded to a multiple of it."""
    graph = optimised_canary.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    stem = next(node for node in graph.node if node.op_type == "Conv" and node.input[0] == CANARY_INPUT)
    return min(nchwc.SIZES) if weights[stem.input[1]].dims[0] == STEM_CHANNELS else max(nchwc.SIZES)


def _reblocked(model: onnx.ModelProto, size: int, target: int, inputs: Inputs) -> onnx.ModelProto:
    return nchwc.reblock(model, size, target, channels(model, inputs))


def channels(model: onnx.ModelProto, inputs: Inputs) -> Mapping[str, int]:
    """The number of channels of each tensor that is converted to blocks."""
    last = nchwc.entering_last(model)
    wanted = nchwc.entering(model)
    shapes = _shapes(model, wanted, inputs)
    return {name: shapes[name][-1 if name in last else 1] for name in wanted}


def _shapes(model: onnx.ModelProto, wanted: Iterable[str], inputs: Inputs) -> Mapping[str, tuple[int, ...]]:
    """Shapes of tensors for a batch of one, from a run: shape inference does not know onnxruntime's own operators."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    outputs = {value.name for value in copy.graph.output}
    for name in sorted(set(wanted) - set(inputs) - outputs):
        copy.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = ort.InferenceSession(copy.SerializeToString(), prepared_options(1), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    values = session.run(names, dict(inputs))
    found = {name: value.shape for name, value in zip(names, values, strict=True)}
    return {name: value.shape for name, value in inputs.items()} | found


def _canary_output(model: onnx.ModelProto, options: ort.SessionOptions) -> npt.NDArray[np.float32]:
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    output: npt.NDArray[np.float32] = session.run([CANARY_OUTPUT], {CANARY_INPUT: canary_pixels()})[0][0]
    return output


def _write(model: onnx.ModelProto, canary_graph: onnx.ModelProto | None, name: str, bundle: Path) -> PreparedGraph:
    weights = bundle / f"{name}.weights"
    weights.write_bytes(_externalise(model, weights.name))
    return PreparedGraph(
        name=name,
        graph=_file(bundle / f"{name}.onnx", model),
        weights=BundleFile(weights.name, weights.stat().st_size, sample_sha256(weights)),
        canary=None if canary_graph is None else _file(bundle / f"{name}.canary.onnx", canary_graph),
    )


def _file(path: Path, model: onnx.ModelProto) -> BundleFile:
    path.write_bytes(model.SerializeToString(deterministic=True))
    return BundleFile(path.name, path.stat().st_size, file_sha256(path))


def _externalise(model: onnx.ModelProto, location: str) -> bytes:
    """Move the large weights of a graph to external data; returns the bytes of the file `location`."""
    data = bytearray()
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).tobytes()
        if len(values) < _EXTERNAL_BYTES:
            continue
        data += bytes(-len(data) % _ALIGNMENT)
        reference = {"location": location, "offset": len(data), "length": len(values)}
        tensor.CopyFrom(onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims))
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in reference.items():
            tensor.external_data.add(key=key, value=str(value))
        data += values
    return bytes(data)
