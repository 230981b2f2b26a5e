"""A tower -> an ONNX file, compared with the tower before it replaces `out`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch

from infra.common.errors import OperatorError
from infra.common.files import atomic_write
from infra.onnx_export.architecture import reparameterised
from infra.onnx_export.contract import CONTEXT_LENGTH, IMAGE, IMAGE_SIZE, OPSET, TOLERANCE, Tower

_START, _END = 49406, 49407
_BATCHES = (1, 3)


def write_graph(tower: Tower, module: Any, out: Path) -> str:  # noqa: ANN401 - torch has no types here
    """Reparameterise a tower, write its graph to `out`, and return one line that describes the file.

    Raises:
        OperatorError: the file cannot be written, or its vectors differ from the tower's.
    """
    if out.is_dir():
        raise OperatorError(f"{out} is a directory; name a file with --out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(out) as file:
            size = file.write(_graph(tower, reparameterised(module)).SerializeToString())
            file.flush()
            difference = check_graph(tower, module, Path(file.name))
    except OSError as error:
        raise OperatorError(f"cannot write {out} ({error.strerror}); make room, or choose another --out") from None
    return (
        f"{out}: opset {OPSET}, {tower.input_name} -> {tower.output_name}, {size:,} bytes; "
        f"differs from PyTorch by {difference:.1e} of the largest component"
    )


def check_graph(tower: Tower, module: Any, path: Path) -> float:  # noqa: ANN401 - as above
    """Compare a graph with its tower on random inputs.

    Returns:
        The largest difference, divided by the largest component of the tower's vectors.

    Raises:
        OperatorError: the difference is above the tolerance, or not a number.
    """
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    difference = float(np.max([_difference(tower, module, session, given) for given in _random_inputs(tower)]))
    if not difference <= TOLERANCE:
        raise OperatorError(
            f"the graph's vectors differ from PyTorch's by {difference:.1e} of the largest component, more than the "
            f"{TOLERANCE:.0e} allowed; nothing was written; install the package versions of constraints.txt"
        )
    return difference


def _graph(tower: Tower, module: Any) -> onnx.ModelProto:  # noqa: ANN401 - as above
    given = next(iter(_random_inputs(tower, batches=(2,))))  # torch would export a batch of 1 as a constant
    program = torch.onnx.export(
        module,
        (given,),
        dynamo=True,
        opset_version=OPSET,
        input_names=[tower.input_name],
        output_names=[tower.output_name],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        external_data=False,
        verbose=False,
    )
    graph: onnx.ModelProto = program.model_proto
    _remove_metadata(graph)
    return graph


def _remove_metadata(model: onnx.ModelProto) -> None:
    """Remove the call stacks that the exporter adds to each node: they hold paths of this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""


def _difference(tower: Tower, module: Any, session: ort.InferenceSession, given: Any) -> float:  # noqa: ANN401 - as above
    with torch.inference_mode():
        wanted = module(given).numpy()
    (got,) = session.run([tower.output_name], {tower.input_name: given.numpy()})
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


def _random_inputs(tower: Tower, batches: tuple[int, ...] = _BATCHES) -> Iterator[Any]:
    random = torch.Generator().manual_seed(0)
    for batch in batches:
        if tower == IMAGE:
            yield torch.rand((batch, 3, IMAGE_SIZE, IMAGE_SIZE), generator=random)
        else:
            yield torch.stack([_random_tokens(random) for _ in range(batch)])


def _random_tokens(random: Any) -> Any:  # noqa: ANN401 - as above
    words = int(torch.randint(0, CONTEXT_LENGTH - 1, (), generator=random))
    tokens = torch.zeros(CONTEXT_LENGTH, dtype=torch.int64)
    tokens[0] = _START
    tokens[1 : words + 1] = torch.randint(1, _START, (words,), generator=random)
    tokens[words + 1] = _END
    return tokens
