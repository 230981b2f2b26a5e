"""A tower -> an ONNX file, compared with the tower before it is put in place."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch

from infra.common.errors import OperatorError
from infra.onnx_export.architecture import reparameterised
from infra.onnx_export.contract import CONTEXT_LENGTH, IMAGE, IMAGE_SIZE, OPSET, TOLERANCE, Tower

_START, _END = 49406, 49407
_BATCHES = (1, 3)


def write_graph(tower: Tower, module: Any, out: Path) -> str:  # noqa: ANN401 - torch has no types here
    """Write the reparameterised graph of a tower, given in its training-time form; return a line about the file.

    Raises:
        OperatorError: the file cannot be written, or its vectors are not the tower's.
    """
    if out.is_dir():
        raise OperatorError(f"{out} is a directory; name a file with --out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as scratch:
            made = Path(scratch) / "graph.onnx"
            size = made.write_bytes(_graph(tower, reparameterised(module)).SerializeToString())
            difference = check_graph(tower, module, made)
            made.replace(out)
    except OSError as error:
        raise OperatorError(f"cannot write {out} ({error.strerror}); make room, or choose another --out") from None
    return (
        f"{out}: opset {OPSET}, {tower.input_name} -> {tower.output_name}, {size:,} bytes; "
        f"differs from PyTorch by {difference:.1e} of the largest component"
    )


def check_graph(tower: Tower, module: Any, path: Path) -> float:  # noqa: ANN401 - as above
    """Compare a graph with its tower on random inputs: the largest difference, per largest component of the tower's.

    Raises:
        OperatorError: it is above the tolerance, or not a number.
    """
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    difference = float(np.max([_difference(tower, module, session, given) for given in _random_inputs(tower)]))
    if not difference <= TOLERANCE:
        raise OperatorError(
            f"the graph's vectors differ from PyTorch's by {difference:.1e} of the largest component, where "
            f"{TOLERANCE:.0e} is allowed, so it was not kept; check that the packages are those of constraints.txt"
        )
    return difference


def _graph(tower: Tower, module: Any) -> onnx.ModelProto:  # noqa: ANN401 - as above
    given = next(iter(_random_inputs(tower, batches=(2,))))  # torch takes a batch of 1 for a constant
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
    _forget_where_it_was_made(graph)
    return graph


def _forget_where_it_was_made(model: onnx.ModelProto) -> None:
    # The exporter notes Python's call stack at every node: paths of this machine, and nothing that a runtime reads.
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
