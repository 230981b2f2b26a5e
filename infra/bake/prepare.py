"""A model -> graphs that load in an instant, one for each width of blocks, with their canaries.

See `handler.model.prepared` for why, `infra.bake.nchwc` for how the graph is made that this CPU cannot make, and
`infra.bake.matmul` for what onnxruntime does not do by itself.
"""

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import numpy_helper
from PIL import Image

from handler.images.preprocess import to_tensor
from handler.model.encoder import Vector
from handler.model.prepared import (
    CANARY_INPUT,
    CANARY_OUTPUT,
    base_options,
    canary_matches,
    canary_pixels,
    prepared_options,
    sample_sha256,
)
from handler.model.self_check import MIN_COSINE, cosine_of
from handler.model.spec import BundleFile, ModelSpec, PreparedGraph
from handler.model.test_card import draw_test_card
from infra.bake import matmul as products
from infra.bake import nchwc as blocks
from infra.bake.canary import STEM_CHANNELS, canary
from infra.common.errors import OperatorError
from infra.common.hashing import file_sha256

_QUANTISED = re.compile("Quant|QLinear|Integer|QAttention|QGemm")

# Weights below this stay in the graph; those above lie in the file of weights, each where a cache line begins.
_EXTERNAL_BYTES, _ALIGNMENT = 1024, 64


@dataclass(frozen=True)
class Preparation:
    """What was prepared.

    Attributes:
        prepared: the widest blocks first.
        canary_output: what a canary gives where it fits.
        note: why there is no graph for CPUs of the other width; empty when there is one, or none is needed.
    """

    prepared: tuple[PreparedGraph, ...]
    canary_output: npt.NDArray[np.float32]
    note: str

    def fields(self) -> dict[str, object]:
        """As `model.json` has it."""
        return {
            "prepared_by": ort.__version__,
            "prepared": [asdict(entry) for entry in self.prepared],
            "canary_output": [float(f"{value:.9g}") for value in self.canary_output.ravel()],
        }


def prepare(graph: bytes, spec: ModelSpec, expected: Vector, bundle: Path) -> Preparation:
    """Write prepared graphs of a model into a bundle, each one proved.

    The graph that this CPU can run is run. The one that it cannot is brought back to this CPU's width of blocks, and
    that is run: whatever went wrong on the way there shows on the way back.

    Args:
        graph: the model, as an ONNX file without external data.
        spec: the bundle's, as far as it is known.
        expected: what the model makes of the test card.
        bundle: the directory.

    Raises:
        OperatorError: onnxruntime does not optimise the model, or makes another one of it.
    """
    try:
        return _prepare(graph, spec, expected, bundle)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a dozen unrelated types, also where a disk is full
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise OperatorError(
            f"{spec.name} cannot be prepared ({reason}); is there room on the disk, and does onnxruntime run the model?"
        ) from None


def _prepare(graph: bytes, spec: ModelSpec, expected: Vector, bundle: Path) -> Preparation:
    plain = canary()
    song = _song(plain, base_options(1))
    model = _narrowed(graph, spec)
    quantised = sorted({node.op_type for node in model.graph.node if _QUANTISED.search(node.op_type)})
    if quantised:  # what onnxruntime makes of these depends on the CPU in more ways than a canary knows
        return Preparation((), song, f"not prepared: it is quantised ({', '.join(quantised)})")
    ready = _with_weights_first(optimised(model, bundle))
    _prove(ready, spec, expected)
    if not blocks.is_blocked(ready):
        return Preparation((_written(ready, None, "optimised", bundle),), song, "")
    bird = optimised(plain, bundle)
    if not canary_matches(_song(bird, prepared_options(1)), song):
        raise ValueError("the canary that onnxruntime has just made here does not sing here")
    here = block_size(bird)
    made = {here: (ready, bird)}
    note = ""
    for other in set(blocks.SIZES) - {here}:
        try:
            made[other] = _reblocked(ready, here, other), _reblocked(bird, here, other)
            _prove(blocks.reblock(made[other][0], other, here, channels(ready)), spec, expected)
        except (blocks.BlocksError, ProofError) as error:
            made.pop(other, None)
            note = f"no graph for blocks of {other} ({error}): such CPUs load the model itself"
    prepared = [_written(*made[width], f"blocks-{width}", bundle) for width in sorted(made, reverse=True)]
    return Preparation(tuple(prepared), song, note)


class ProofError(Exception):
    """A graph does not give the model's vector; the text says how."""


def _prove(model: onnx.ModelProto, spec: ModelSpec, expected: Vector) -> None:
    """Run a graph on the test card.

    Raises:
        ProofError: it does not run, or gives another vector than the model.
    """
    tensor = to_tensor(Image.fromarray(draw_test_card()), spec.preprocess)
    try:
        session = ort.InferenceSession(
            model.SerializeToString(), prepared_options(1), providers=["CPUExecutionProvider"]
        )
        vector = session.run([spec.output_name], {spec.input_name: tensor})[0][0]
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a dozen unrelated types
        raise ProofError(f"it does not run: {str(error).splitlines()[0][:200]}") from None
    cosine = cosine_of(vector, expected)
    if not cosine >= MIN_COSINE:
        raise ProofError(f"it gives another vector of the test card, cosine {cosine:.6f}")


def _narrowed(graph: bytes, spec: ModelSpec) -> onnx.ModelProto:
    """The model with one input, one output, and every number of the input's shape but the batch's."""
    model = onnx.load_from_string(graph)
    taken, given = onnx.ValueInfoProto(), onnx.ValueInfoProto()
    taken.CopyFrom(next(value for value in model.graph.input if value.name == spec.input_name))
    given.CopyFrom(next(value for value in model.graph.output if value.name == spec.output_name))
    size = spec.preprocess.input_size
    for dimension, number in zip(taken.type.tensor_type.shape.dim[1:], (3, size, size), strict=True):
        dimension.dim_value = number
    # Old exports name their weights among the inputs.
    for values, kept in ((model.graph.input, taken), (model.graph.output, given)):
        del values[:]
        values.append(kept)
    return model


def optimised(model: onnx.ModelProto, near: Path | None = None) -> onnx.ModelProto:
    """What onnxruntime makes of a model for the CPU at hand; by way of a file in the folder `near`, or anywhere."""
    with tempfile.TemporaryDirectory(prefix=".optimised-", dir=near) as folder:
        path = Path(folder) / "optimised.onnx"
        options = base_options(1)
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return _in_order(onnx.load(path))


def _with_weights_first(model: onnx.ModelProto) -> onnx.ModelProto:
    return _in_order(products.weights_first(model, _shapes(model, products.multiplied(model))))


def _in_order(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph, the same bytes every time: onnxruntime names what it adds as its hash tables happen to lie."""
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    weights = sorted(model.graph.initializer, key=lambda tensor: tensor.name)
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)
    return model


def block_size(bird: onnx.ModelProto) -> int:
    """The width of the blocks in a canary: its stem's filters are padded to a multiple of it."""
    weights = {tensor.name: tensor for tensor in bird.graph.initializer}
    stem = next(node for node in bird.graph.node if node.op_type == "Conv" and node.input[0] == CANARY_INPUT)
    return min(blocks.SIZES) if weights[stem.input[1]].dims[0] == STEM_CHANNELS else max(blocks.SIZES)


def _reblocked(model: onnx.ModelProto, size: int, target: int) -> onnx.ModelProto:
    return blocks.reblock(model, size, target, channels(model))


def channels(model: onnx.ModelProto) -> Mapping[str, int]:
    """How many channels the tensors have that enter blocks."""
    last = blocks.entering_last(model)
    wanted = blocks.entering(model)
    shapes = _shapes(model, wanted)
    return {name: shapes[name][-1 if name in last else 1] for name in wanted}


def _shapes(model: onnx.ModelProto, wanted: Iterable[str]) -> Mapping[str, tuple[int, ...]]:
    """Shapes of tensors for a batch of one, from a run: shape inference does not know what onnxruntime adds."""
    seen = onnx.ModelProto()
    seen.CopyFrom(model)
    (taken,) = seen.graph.input
    shape = tuple(dimension.dim_value or 1 for dimension in taken.type.tensor_type.shape.dim)
    given = {value.name for value in seen.graph.output}
    for name in sorted(set(wanted) - {taken.name} - given):
        seen.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = ort.InferenceSession(seen.SerializeToString(), prepared_options(1), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    found = session.run(names, {taken.name: np.zeros(shape, np.float32)})
    return {taken.name: shape, **{name: value.shape for name, value in zip(names, found, strict=True)}}


def _song(bird: onnx.ModelProto, options: ort.SessionOptions) -> npt.NDArray[np.float32]:
    session = ort.InferenceSession(bird.SerializeToString(), options, providers=["CPUExecutionProvider"])
    song: npt.NDArray[np.float32] = session.run([CANARY_OUTPUT], {CANARY_INPUT: canary_pixels()})[0][0]
    return song


def _written(model: onnx.ModelProto, bird: onnx.ModelProto | None, name: str, bundle: Path) -> PreparedGraph:
    weights = bundle / f"{name}.weights"
    weights.write_bytes(_moved_out(model, weights.name))
    return PreparedGraph(
        name=name,
        graph=_file(bundle / f"{name}.onnx", model),
        weights=BundleFile(weights.name, weights.stat().st_size, sample_sha256(weights)),
        canary=None if bird is None else _file(bundle / f"{name}.canary.onnx", bird),
    )


def _file(path: Path, model: onnx.ModelProto) -> BundleFile:
    path.write_bytes(model.SerializeToString(deterministic=True))
    return BundleFile(path.name, path.stat().st_size, file_sha256(path))


def _moved_out(model: onnx.ModelProto, location: str) -> bytes:
    """Take the large weights out of a graph; gives the bytes of the file that it now refers to."""
    data = bytearray()
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).tobytes()
        if len(values) < _EXTERNAL_BYTES:
            continue
        data += bytes(-len(data) % _ALIGNMENT)
        outside = {"location": location, "offset": len(data), "length": len(values)}
        tensor.CopyFrom(onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims))
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in outside.items():
            tensor.external_data.add(key=key, value=str(value))
        data += values
    return bytes(data)
