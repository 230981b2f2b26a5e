"""Bundle -> session; tensor -> vector.

A bundle is a directory: `model.json` says all that decides what a vector is, `image.onnx` holds the graph and weights.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import orjson

from handler.errors import BundleError
from handler.pixels import DECODE_POLICY
from handler.preprocess import INTERPOLATIONS, Preprocess, Tensor

BUNDLE_FORMAT = 1
SPEC_FILE = "model.json"
GRAPH_FILE = "image.onnx"

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What `model.json` says, checked.

    Attributes:
        name: the model's name.
        fingerprint: hex; equal if and only if vectors may be compared.
        embedding_dim: length of a vector.
        input_name: the graph's input, float32 (N, 3, input_size, input_size).
        output_name: the graph's output, float32 (N, embedding_dim).
        graph_bytes: size of `image.onnx`.
        graph_sha256: of `image.onnx`, hex.
        preprocess: pixels to tensor.
        canonical_vector: what the untouched model makes of the test card, not normalised.
    """

    name: str
    fingerprint: str
    embedding_dim: int
    input_name: str
    output_name: str
    graph_bytes: int
    graph_sha256: str
    preprocess: Preprocess
    canonical_vector: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Encoder:
    """A loaded image encoder."""

    spec: ModelSpec
    session: ort.InferenceSession

    def embed(self, tensor: Tensor) -> Vector:
        """Embed (1, 3, S, S) float32 into (embedding_dim,) float32, not normalised."""
        (output,) = self.session.run([self.spec.output_name], {self.spec.input_name: tensor})
        vector: Vector = output[0]
        return vector


def load_spec(bundle: Path) -> ModelSpec:
    """Read and check a bundle's `model.json`.

    Raises:
        BundleError: it is absent, not JSON, incomplete, or of a version that this code does not know.
    """
    path = bundle / SPEC_FILE
    try:
        fields: dict[str, Any] = orjson.loads(path.read_bytes())
    except OSError as error:
        raise BundleError(
            f"no model bundle at {bundle} ({error.strerror}); set MODEL_DIR to a directory made by "
            "`python -m infra bake NAME --out DIR`"
        ) from None
    except ValueError:
        raise BundleError(f"{path} is not JSON; bake the bundle again") from None
    try:
        versions = fields["format"], fields["decode_policy"]
        if versions != (BUNDLE_FORMAT, DECODE_POLICY):
            raise BundleError(
                f"{path} is of version {versions}, this function needs {(BUNDLE_FORMAT, DECODE_POLICY)}; bake it again"
            )
        return _spec(fields)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path} does not describe a model ({error!r}); bake the bundle again") from None


def _spec(fields: dict[str, Any]) -> ModelSpec:
    preprocess = Preprocess(
        input_size=int(fields["input_size"]),
        resize_mode=fields["resize_mode"],
        interpolation=fields["interpolation"],
        channel_order=fields["channel_order"],
        divisor=float(fields["divisor"]),
        mean=_three(fields["mean"]),
        std=_three(fields["std"]),
    )
    if preprocess.resize_mode != "shortest_side" or preprocess.interpolation not in INTERPOLATIONS:
        raise ValueError(f"{preprocess.resize_mode}, {preprocess.interpolation}")
    spec = ModelSpec(
        name=str(fields["name"]),
        fingerprint=str(fields["fingerprint"]),
        embedding_dim=int(fields["embedding_dim"]),
        input_name=str(fields["input_name"]),
        output_name=str(fields["output_name"]),
        graph_bytes=int(fields["bytes"]),
        graph_sha256=str(fields["sha256"]),
        preprocess=preprocess,
        canonical_vector=tuple(fields["canonical_vector"]),
    )
    if len(spec.canonical_vector) != spec.embedding_dim:
        raise ValueError("canonical_vector has another length than embedding_dim")
    return spec


def _three(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def load_encoder(bundle: Path) -> Encoder:
    """Load a bundle for inference with as many threads as there are processors.

    Raises:
        BundleError: a file is absent, or the graph is not what `model.json` says.
    """
    spec = load_spec(bundle)
    path = bundle / GRAPH_FILE
    if not path.is_file() or path.stat().st_size != spec.graph_bytes:
        raise BundleError(f"{path} is absent or not the {spec.graph_bytes} bytes of {SPEC_FILE}; bake the bundle again")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != spec.graph_sha256:
            raise BundleError(f"{path} is not the file that {SPEC_FILE} describes (SHA-256); bake the bundle again")
    try:
        session = ort.InferenceSession(path, session_options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a dozen unrelated types for a file it cannot load
        raise BundleError(f"onnxruntime cannot load {path}: {str(error).splitlines()[0]}") from None
    _check_signature(session, spec)
    return Encoder(spec, session)


def session_options() -> ort.SessionOptions:
    """As many threads as there are processors, none of which spins."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    options.inter_op_num_threads = 1
    # A thread that spins on a vCPU which it shares is worse than one that sleeps.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def _check_signature(session: ort.InferenceSession, spec: ModelSpec) -> None:
    size, dim = spec.preprocess.input_size, spec.embedding_dim
    inputs = {item.name: (item.type, item.shape[1:]) for item in session.get_inputs()}
    outputs = {item.name: (item.type, item.shape[1:]) for item in session.get_outputs()}
    if inputs != {spec.input_name: ("tensor(float)", [3, size, size])}:
        raise BundleError(f"the graph takes {inputs}, not {spec.input_name} [N, 3, {size}, {size}]; bake it again")
    if outputs.get(spec.output_name) != ("tensor(float)", [dim]):
        raise BundleError(f"the graph gives {outputs}, not {spec.output_name} [N, {dim}]; bake it again")
