"""Prepared graphs: graphs optimised at bake time, and the choice of one that fits the CPU of this invocation.

onnxruntime spends most of a cold start on optimising the graph and copying the weights. A prepared graph is optimised
already and is loaded unchanged, and its weights are in a separate file, which is memory-mapped. The fastest graphs
store channels in blocks as wide as the vectors of one CPU (16 numbers with AVX-512, 8 with AVX2). On another CPU such a
graph runs without an error, but its output is wrong. So a bundle contains one graph for each block size, and with each
graph a canary: a small graph with every kind of blocked operator, optimised in the same way. The first canary whose
output matches selects the graph, which takes about a millisecond. If none matches, the original model is loaded.

Of the weights only a sample of 128 KiB is hashed. This detects a truncated, empty or different file, and damage larger
than the gap between two of the 32 pieces of the sample, but not damage inside a gap. `{"check": true}` detects such
damage if it changes the vector: it embeds the test card with the loaded graph, and compares the vector with the
original model's.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from handler.errors import BundleError
from handler.model.bundle_files import check_bytes, check_sample
from handler.model.spec import BundleFile, ModelSpec, PreparedGraph, TextSpec

CANARY_INPUT, CANARY_OUTPUT = "pixels", "output"
CANARY_SIDE = 12

# Relative. The rounding error of a float32 sum of a few hundred products is about 1e-6; with the wrong block size, not
# even the first digit is right.
_CANARY_TOLERANCE = 1e-3


def choose_graph(bundle: Path, spec: ModelSpec | TextSpec) -> PreparedGraph | None:
    """A tower's first prepared graph that fits this CPU and this version of onnxruntime; None if none fits.

    Raises:
        BundleError: a file is missing or does not match `model.json`.
    """
    if spec.prepared_by != ort.__version__:
        return None
    for prepared in spec.prepared:
        if prepared.canary is None or _runs_correctly(bundle, prepared.canary, spec.canary_output):
            check_bytes(bundle, prepared.graph)
            check_sample(bundle, prepared.weights)
            return prepared
    return None


def canary_pixels() -> npt.NDArray[np.float32]:
    """The input of every canary: float32 (1, 3, CANARY_SIDE, CANARY_SIDE), from -1 to 1, without symmetry."""
    count = 3 * CANARY_SIDE * CANARY_SIDE
    values = (np.arange(count, dtype=np.int64) ** 2 * 7 % 97).astype(np.float32) / np.float32(48) - np.float32(1)
    return values.reshape(1, 3, CANARY_SIDE, CANARY_SIDE)


def canary_matches(output: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> bool:
    """Whether a canary's output equals the expected output, up to rounding errors."""
    tolerance = _CANARY_TOLERANCE * float(np.abs(expected).max(initial=0))
    return output.shape == expected.shape and bool((np.abs(output - expected) <= tolerance).all())


def prepared_options(threads: int) -> ort.SessionOptions:
    """Session options for a prepared graph: load it without further optimisation.

    Nearly all weights stay memory-mapped: those of convolutions as they are, and those of matrix products with few
    rows because `infra.bake.matmul` made them the left operand. onnxruntime copies (packs) only weights that remain the
    right operand: 2.6 of the 143 MB of MobileCLIP-S2.
    """
    options = base_options(threads)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def base_options(threads: int) -> ort.SessionOptions:
    """Options of every session. Threads do not spin while they wait, since they may share a vCPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # errors are raised as exceptions
    return options


def open_session(path: Path, options: ort.SessionOptions) -> ort.InferenceSession:
    """Load a graph on the CPU.

    Raises:
        BundleError: onnxruntime cannot load it.
    """
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a dozen unrelated types for a file it cannot load
        raise BundleError(f"onnxruntime cannot load {path}: {_first_line(error)}; bake the bundle again") from None


def _runs_correctly(bundle: Path, canary: BundleFile, expected: tuple[float, ...]) -> bool:
    check_bytes(bundle, canary)
    try:
        session = ort.InferenceSession(bundle / canary.name, prepared_options(1), providers=["CPUExecutionProvider"])
        # Its only output, under any name: older bundles use another name than `CANARY_OUTPUT`.
        output = session.run(None, {CANARY_INPUT: canary_pixels()})[0][0]
    except Exception:  # noqa: BLE001 - with any error of onnxruntime, the graph does not fit this CPU
        return False
    return canary_matches(output, np.array(expected, dtype=np.float32))


def _first_line(error: Any) -> str:  # noqa: ANN401 - any exception
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
