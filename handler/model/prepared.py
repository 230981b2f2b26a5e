"""Graphs that are optimised already, and the proof that one fits the CPU that the function woke up on.

onnxruntime spends most of a cold start on rewriting the graph and copying the weights. A prepared graph has been
through that: it is loaded as it is, and its weights are a file of their own, which is mapped, not read. But the fastest
graphs keep channels in blocks of the width that one CPU's vectors have (16 numbers with AVX-512, 8 with AVX2), and on
another CPU they run and give garbage, without an error. So a bundle holds one graph for each width, and with each of
them a canary: a small graph with every kind of blocked operator, made in the same way by the same run. Whichever canary
sings right shows the graph to take; that takes about a millisecond. Where none does, the model itself is loaded.

Of the weights only a sample is hashed, 128 KiB. It sees a file that is cut, empty, or another one, and damage that is
wider than the gap between two of its 32 pieces. It does not see damage between them. `{"check": true}` does, where that
turns the vector: it runs the graph that is loaded, and compares what it makes of the test card with the model's own.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from handler.errors import BundleError
from handler.model.spec import BundleFile, ModelSpec, Prepared

CANARY_INPUT, CANARY_OUTPUT = "pixels", "song"
CANARY_SIDE = 12

# In a sum of a few hundred products float32 is right to about 1e-6; blocks of the wrong width are wrong from the first
# digit on.
_CANARY_TOLERANCE = 1e-3

# Weights are too large to hash in a cold start; a sample costs nothing.
_SAMPLES, _SAMPLE_BYTES = 32, 4096


def choose(bundle: Path, spec: ModelSpec) -> Prepared | None:
    """The first prepared graph that fits this CPU and this onnxruntime; None when none does.

    Raises:
        BundleError: a file is absent, or not the one that `model.json` describes.
    """
    if spec.prepared_by != ort.__version__:
        return None
    for prepared in spec.prepared:
        if prepared.canary is None or _sings(bundle, prepared.canary, spec.canary_output):
            check_bytes(bundle, prepared.graph)
            check_sample(bundle, prepared.weights)
            return prepared
    return None


def canary_pixels() -> npt.NDArray[np.float32]:
    """What every canary is given: float32 (1, 3, CANARY_SIDE, CANARY_SIDE), in -1 to 1, without symmetry."""
    count = 3 * CANARY_SIDE * CANARY_SIDE
    values = (np.arange(count, dtype=np.int64) ** 2 * 7 % 97).astype(np.float32) / np.float32(48) - np.float32(1)
    return values.reshape(1, 3, CANARY_SIDE, CANARY_SIDE)


def is_same_song(song: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> bool:
    """Whether a canary's output is what it should be, within what float32 sums may differ by."""
    tolerance = _CANARY_TOLERANCE * float(np.abs(expected).max(initial=0))
    return song.shape == expected.shape and bool((np.abs(song - expected) <= tolerance).all())


def prepared_options(threads: int) -> ort.SessionOptions:
    """Options that load a prepared graph as it is: nothing is rewritten.

    Nearly all weights stay mapped: those of convolutions as they are, those of products of few rows because they have
    been put on the left (`infra.bake.matmul`). Where a product keeps them on the right, they are packed at load: of
    MobileCLIP-S2's 143 MB 2.6.
    """
    options = base_options(threads)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def base_options(threads: int) -> ort.SessionOptions:
    """Options of every session: so many threads, none of which spins on a vCPU that it may share with another."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong is raised
    return options


def open_session(path: Path, options: ort.SessionOptions) -> ort.InferenceSession:
    """Load a graph on the CPU.

    Raises:
        BundleError: onnxruntime does not take it.
    """
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a dozen unrelated types for a file it cannot load
        raise BundleError(f"onnxruntime cannot load {path}: {_first_line(error)}; bake the bundle again") from None


def check_bytes(bundle: Path, file: BundleFile) -> None:
    """Hash a whole file.

    Raises:
        BundleError: it is absent, or not the one that `model.json` describes.
    """
    check_size(bundle, file)
    with (bundle / file.name).open("rb") as opened:
        _compare(bundle, file, hashlib.file_digest(opened, "sha256").hexdigest())


def check_sample(bundle: Path, file: BundleFile) -> None:
    """Hash parts of a file.

    Raises:
        BundleError: as for `check_bytes`.
    """
    check_size(bundle, file)
    _compare(bundle, file, sample_sha256(bundle / file.name))


def check_size(bundle: Path, file: BundleFile) -> None:
    """Look at a file's size alone.

    Raises:
        BundleError: as for `check_bytes`.
    """
    path = bundle / file.name
    if not path.is_file() or path.stat().st_size != file.bytes:
        raise BundleError(f"{path} is absent or not the {file.bytes} bytes that it should be; bake the bundle again")


def sample_sha256(path: Path) -> str:
    """SHA-256, hex, of 32 pieces of 4 KiB from all over a file, the first and the last among them."""
    last = max(0, path.stat().st_size - _SAMPLE_BYTES)
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        for number in range(_SAMPLES):
            file.seek(last * number // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _sings(bundle: Path, canary: BundleFile, expected: tuple[float, ...]) -> bool:
    check_bytes(bundle, canary)
    try:
        session = ort.InferenceSession(bundle / canary.name, prepared_options(1), providers=["CPUExecutionProvider"])
        song = session.run([CANARY_OUTPUT], {CANARY_INPUT: canary_pixels()})[0][0]
    except Exception:  # noqa: BLE001 - whatever onnxruntime says of a graph that does not fit, it does not fit
        return False
    return is_same_song(song, np.array(expected, dtype=np.float32))


def _compare(bundle: Path, file: BundleFile, found: str) -> None:
    if found != file.sha256:
        raise BundleError(f"{bundle / file.name} is not the file that model.json describes (SHA-256); bake it again")


def _first_line(error: Any) -> str:  # noqa: ANN401 - whatever was raised
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
