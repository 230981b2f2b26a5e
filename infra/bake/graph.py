"""Source files -> the model's graph: one ONNX file, before any optimisation."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from infra.bake import efficientnet_lite
from infra.bake.manifest import ImageTower
from infra.bake.torchfile import TorchFileError, read_state_dict
from infra.common.errors import OperatorError, first_line

# A graph with its weights is one protobuf message; this is protobuf's limit.
_MAX_BYTES = (1 << 31) - 1

_FIRST_TOKEN = "dropvec_first_token"  # noqa: S105 - a tensor's name


def build_graph(image: ImageTower, path: Path) -> tuple[bytes, str]:
    """Make the graph of a manifest's image tower.

    Args:
        image: the section [image] of the manifest.
        path: the source file.

    Returns:
        An ONNX file without external data, and the name of its output with vectors (N, D).

    Raises:
        OperatorError: the source file is damaged or does not match the manifest.
    """
    if image.builder == "efficientnet-lite0":
        return _build_lite0(path), image.output
    model, has_external_data = _read(path)
    _check_names(model, image, path)
    if image.take == "first_token":
        return _with_first_token(model, image.output), _FIRST_TOKEN
    data: bytes = model.SerializeToString(deterministic=True) if has_external_data else path.read_bytes()
    return data, image.output


def _build_lite0(path: Path) -> bytes:
    try:
        return efficientnet_lite.build(read_state_dict(path))
    except TorchFileError as error:
        raise OperatorError(f"{error}; delete the file and bake again") from None
    except (LookupError, ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = first_line(error)
        raise OperatorError(f"{path.name} does not contain the weights of efficientnet-lite0: {reason}") from None


def check_size(path: Path) -> None:
    """Check that a file may hold a graph.

    Raises:
        OperatorError: it is larger than an ONNX file with its weights inside can be.
        OSError: there is no such file.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise OperatorError(f"{path.name} is larger than 2 GB, the limit of an ONNX file with its weights inside")


def _read(path: Path) -> tuple[onnx.ModelProto, bool]:
    """Read a model with its weights; also returns whether some of them are external data."""
    check_size(path)
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # noqa: BLE001 - the type depends on the protobuf library
        raise OperatorError(f"{path.name} is not an ONNX file ({first_line(error)})") from None
    has_external_data = any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer)
    if not model.graph.node:
        raise OperatorError(f"{path.name} is not an ONNX file: it contains no graph")
    if has_external_data:
        if sum(_length(tensor) for tensor in model.graph.initializer) > _MAX_BYTES:
            raise OperatorError(f"{path.name} has more than 2 GB of weights, the limit of a bundle's graph")
        try:
            onnx.load_external_data_for_model(model, str(path.parent))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            raise OperatorError(
                f"{path.name} has weights in another file ({first_line(error)}); name it in [[image.data]]"
            ) from None
    return model, has_external_data


def _length(tensor: onnx.TensorProto) -> int:
    return next((int(entry.value) for entry in tensor.external_data if entry.key == "length"), 0)


def _check_names(model: onnx.ModelProto, image: ImageTower, path: Path) -> None:
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in constants]
    outputs = [value.name for value in model.graph.output]
    if inputs != [image.input]:
        raise OperatorError(
            f"{path.name} has the inputs {', '.join(inputs)}, not {image.input!r}; correct [image] input"
        )
    if image.output not in outputs:
        raise OperatorError(
            f"{path.name} has the outputs {', '.join(outputs)}, not {image.output!r}; correct [image] output"
        )


def _with_first_token(model: onnx.ModelProto, output: str) -> bytes:
    """Add an output (N, D) with the first token of the output (N, T, D)."""
    index = numpy_helper.from_array(np.array(0, dtype=np.int64), f"{_FIRST_TOKEN}_index")
    model.graph.initializer.append(index)
    model.graph.node.append(helper.make_node("Gather", [output, index.name], [_FIRST_TOKEN], name=_FIRST_TOKEN, axis=1))
    model.graph.output.append(helper.make_tensor_value_info(_FIRST_TOKEN, onnx.TensorProto.FLOAT, None))
    data: bytes = model.SerializeToString(deterministic=True)
    return data
