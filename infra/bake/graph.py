"""Source files -> the model's graph: one ONNX file, as its makers mean it, before anything is prepared for speed."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from infra.bake import efficientnet_lite
from infra.bake.manifest import ImageTower
from infra.bake.torchfile import TorchFileError, read_state_dict
from infra.common.errors import OperatorError

# A graph with its weights is one message of protobuf, which is shorter than this.
_MOST_BYTES = (1 << 31) - 1

_FIRST_TOKEN = "dropvec_first_token"  # noqa: S105 - a tensor's name


def build_graph(image: ImageTower, path: Path) -> tuple[bytes, str]:
    """Make the graph that a manifest asks for.

    Args:
        image: what the manifest says of it.
        path: the source file.

    Returns:
        An ONNX file without external data, and the name of the output that gives (N, D) vectors.

    Raises:
        OperatorError: the file does not hold it.
    """
    if image.builder == "efficientnet-lite0":
        return _build_lite0(path), image.output
    model, outside = _read(path)
    _check_names(model, image, path)
    if image.take == "first_token":
        return _with_first_token(model, image.output), _FIRST_TOKEN
    data: bytes = model.SerializeToString(deterministic=True) if outside else path.read_bytes()
    return data, image.output


def _build_lite0(path: Path) -> bytes:
    try:
        return efficientnet_lite.build(read_state_dict(path))
    except TorchFileError as error:
        raise OperatorError(f"{error}; remove it and bake again") from None
    except (LookupError, ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).splitlines()[0]
        raise OperatorError(f"{path.name} does not hold the weights of efficientnet-lite0: {reason}") from None


def _read(path: Path) -> tuple[onnx.ModelProto, bool]:
    """A model with its weights, and whether some of them lay outside of the file."""
    if path.stat().st_size > _MOST_BYTES:
        raise OperatorError(f"{path.name} has more than 2 GB, which no ONNX file can hold with its weights inside")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # noqa: BLE001 - what is no protobuf raises a type of whichever library reads it
        raise OperatorError(f"{path.name} is not an ONNX file ({str(error).partition(chr(10))[0]})") from None
    outside = any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer)
    if not model.graph.node:
        raise OperatorError(f"{path.name} is not an ONNX file: it holds no graph")
    if outside:
        if sum(_length(tensor) for tensor in model.graph.initializer) > _MOST_BYTES:
            raise OperatorError(f"{path.name} has more than 2 GB of weights; a bundle's graph holds less")
        try:
            onnx.load_external_data_for_model(model, str(path.parent))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise OperatorError(
                f"{path.name} keeps weights in another file ({reason}); name it in [[image.data]]"
            ) from None
    return model, outside


def _length(tensor: onnx.TensorProto) -> int:
    return next((int(entry.value) for entry in tensor.external_data if entry.key == "length"), 0)


def _check_names(model: onnx.ModelProto, image: ImageTower, path: Path) -> None:
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in constants]
    outputs = [value.name for value in model.graph.output]
    if inputs != [image.input]:
        raise OperatorError(f"{path.name} takes {', '.join(inputs)}, not {image.input!r}: mend [image] input")
    if image.output not in outputs:
        raise OperatorError(f"{path.name} gives {', '.join(outputs)}, not {image.output!r}: mend [image] output")


def _with_first_token(model: onnx.ModelProto, output: str) -> bytes:
    """Add an output (N, D): the first row of a (N, T, D) one."""
    index = numpy_helper.from_array(np.array(0, dtype=np.int64), f"{_FIRST_TOKEN}_index")
    model.graph.initializer.append(index)
    model.graph.node.append(helper.make_node("Gather", [output, index.name], [_FIRST_TOKEN], name=_FIRST_TOKEN, axis=1))
    model.graph.output.append(helper.make_tensor_value_info(_FIRST_TOKEN, onnx.TensorProto.FLOAT, None))
    data: bytes = model.SerializeToString(deterministic=True)
    return data
