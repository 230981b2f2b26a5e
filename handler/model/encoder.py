"""The image encoder: load a bundle, embed a tensor.

A bundle is a directory: `model.json` specifies everything that determines a vector, `image.onnx` is the original model,
and the prepared graphs are optimised copies of it that load faster.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from handler.errors import BundleError
from handler.frozen import frozen
from handler.images.preprocess import Tensor
from handler.model.bundle_files import check_bytes, check_size
from handler.model.prepared import base_options, choose_graph, open_session, prepared_options
from handler.model.spec import ModelSpec, load_spec

if TYPE_CHECKING:
    from handler.model.labels import Labels

# `Encoder.graph` if no prepared graph fits this CPU and the original model is loaded.
PORTABLE = "portable"

Vector = npt.NDArray[np.float32]


@frozen
class Encoder:
    """A loaded image encoder.

    Attributes:
        bundle: the bundle's directory.
        spec: the content of its `model.json`.
        session: the loaded graph.
        graph: the loaded graph's name: a prepared graph's, or `portable` for the original model.
        labels: the bundle's labels; None without labels.
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


def load_encoder(bundle: Path, *, with_labels: bool = True) -> Encoder:
    """Load a bundle for inference, with one thread for each available processor.

    Args:
        bundle: its directory.
        with_labels: whether to load its labels, too; a query's image needs none.

    Raises:
        BundleError: a file is missing or damaged, or the graph does not match `model.json`.
    """
    spec = load_spec(bundle)
    check_size(bundle, spec.graph)
    prepared = choose_graph(bundle, spec)
    if prepared is not None:
        session = open_session(bundle / prepared.graph.name, prepared_options(thread_count()))
    else:
        session = open_portable(bundle, spec)
    check_signature(session, spec)
    labels = _labels(bundle, spec) if with_labels else None
    return Encoder(bundle, spec, session, PORTABLE if prepared is None else prepared.name, labels)


def open_portable(bundle: Path, spec: ModelSpec) -> ort.InferenceSession:
    """Load the original model; onnxruntime optimises it for this CPU while loading.

    Raises:
        BundleError: see `load_encoder`.
    """
    check_bytes(bundle, spec.graph)
    return open_session(bundle / spec.graph.name, base_options(thread_count()))


def _labels(bundle: Path, spec: ModelSpec) -> "Labels | None":
    if spec.labels is None:
        return None
    from handler.model.labels import load_labels  # noqa: PLC0415 - most bundles have no labels

    return load_labels(bundle, spec.labels, spec.embedding_dim)


def thread_count() -> int:
    """The number of processors that this process may use; 0 (onnxruntime decides) if the system does not report it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def check_signature(session: ort.InferenceSession, spec: ModelSpec) -> None:
    """Check names, types and shapes of a graph's tensors; an axis without a fixed size is not checked.

    Raises:
        BundleError: they do not match `model.json`.
    """
    size, dim = spec.preprocess.input_size, spec.embedding_dim
    inputs = {item.name: (item.type, item.shape) for item in session.get_inputs()}
    outputs = {item.name: (item.type, item.shape) for item in session.get_outputs()}
    if inputs.keys() != {spec.input_name} or not _matches(inputs[spec.input_name], [3, size, size]):
        raise BundleError(
            f"the graph's inputs are {_listed(inputs)}; expected {spec.input_name} tensor(float) [N, 3, {size}, {size}]"
        )
    if spec.output_name not in outputs or not _matches(outputs[spec.output_name], [dim]):
        raise BundleError(
            f"the graph's outputs are {_listed(outputs)}; expected {spec.output_name} tensor(float) [N, {dim}]"
        )


def _matches(found: tuple[str, list[int | str | None]], expected: list[int]) -> bool:
    kind, shape = found
    if kind != "tensor(float)" or len(shape) != len(expected) + 1:
        return False
    return all(not isinstance(size, int) or size == wanted for size, wanted in zip(shape[1:], expected, strict=True))


def _listed(tensors: dict[str, tuple[str, list[int | str | None]]]) -> str:
    return ", ".join(f"{name} {kind} {shape}" for name, (kind, shape) in list(tensors.items())[:6])
