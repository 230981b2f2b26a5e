"""Bundle -> session; tensor -> vector.

A bundle is a directory: `model.json` says all that decides what a vector is, `image.onnx` is the model, and prepared
graphs of it load faster.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from handler.errors import BundleError
from handler.images.preprocess import Tensor
from handler.model.prepared import base_options, check_bytes, check_size, choose, open_session, prepared_options
from handler.model.spec import ModelSpec, load_spec

if TYPE_CHECKING:
    from handler.model.labels import Labels

# The name of the way in which the model itself is loaded, where no prepared graph fits.
PORTABLE = "portable"

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Encoder:
    """A loaded image encoder.

    Attributes:
        bundle: the directory it came from.
        spec: what its `model.json` says.
        session: the graph, ready.
        graph: which one that is: a prepared graph's name, or `portable`.
        labels: the bundle's; None where it has none.
    """

    bundle: Path
    spec: ModelSpec
    session: ort.InferenceSession
    graph: str
    labels: "Labels | None" = None

    def embed(self, tensor: Tensor) -> Vector:
        """Embed (1, 3, S, S) float32 into (embedding_dim,) float32, not normalised."""
        (output,) = self.session.run([self.spec.output_name], {self.spec.input_name: tensor})
        vector: Vector = output[0]
        return vector


def load_encoder(bundle: Path) -> Encoder:
    """Load a bundle for inference with as many threads as there are processors.

    Raises:
        BundleError: a file is absent, or the graph is not what `model.json` says.
    """
    spec = load_spec(bundle)
    check_size(bundle, spec.graph)
    prepared = choose(bundle, spec)
    if prepared is not None:
        session = open_session(bundle / prepared.graph.name, prepared_options(threads()))
    else:
        session = open_portable(bundle, spec)
    check_signature(session, spec)
    return Encoder(bundle, spec, session, PORTABLE if prepared is None else prepared.name, _labels(bundle, spec))


def open_portable(bundle: Path, spec: ModelSpec) -> ort.InferenceSession:
    """Load the model itself; onnxruntime optimises it for this CPU now.

    Raises:
        BundleError: as for `load_encoder`.
    """
    check_bytes(bundle, spec.graph)
    return open_session(bundle / spec.graph.name, base_options(threads()))


def _labels(bundle: Path, spec: ModelSpec) -> "Labels | None":
    if spec.labels is None:
        return None
    from handler.model.labels import load_labels  # noqa: PLC0415 - most bundles have none

    return load_labels(bundle, spec.labels, spec.embedding_dim)


def threads() -> int:
    """How many processors this process may use; 0, onnxruntime's own choice, where the system does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def check_signature(session: ort.InferenceSession, spec: ModelSpec) -> None:
    """Check a graph's tensors; of an axis with a name instead of a number only a run can tell.

    Raises:
        BundleError: names, types or shapes are others than `model.json` says.
    """
    size, dim = spec.preprocess.input_size, spec.embedding_dim
    inputs = {item.name: (item.type, item.shape) for item in session.get_inputs()}
    outputs = {item.name: (item.type, item.shape) for item in session.get_outputs()}
    if inputs.keys() != {spec.input_name} or not _fits(inputs[spec.input_name], [3, size, size]):
        raise BundleError(f"the graph takes {_shown(inputs)}, not {spec.input_name} [N, 3, {size}, {size}]")
    if spec.output_name not in outputs or not _fits(outputs[spec.output_name], [dim]):
        raise BundleError(f"the graph gives {_shown(outputs)}, not {spec.output_name} [N, {dim}]")


def _fits(found: tuple[str, list[int | str | None]], wanted: list[int]) -> bool:
    kind, shape = found
    if kind != "tensor(float)" or len(shape) != len(wanted) + 1:
        return False
    return all(not isinstance(had, int) or had == want for had, want in zip(shape[1:], wanted, strict=True))


def _shown(tensors: dict[str, tuple[str, list[int | str | None]]]) -> str:
    return ", ".join(f"{name} {kind} {shape}" for name, (kind, shape) in list(tensors.items())[:6])
