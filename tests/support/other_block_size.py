"""Write the graph that onnxruntime optimises for a CPU with the other block size than this CPU's.

python -m tests.support.other_block_size MODEL.onnx OUT.onnx

onnxruntime's optimiser reads the block size from a table of the library, so its output depends only on that number, not
on the CPU. This script finds the number in the memory of its process, changes it, checks with a probe that the
optimiser now uses it, and saves an optimised graph. After that, the process must not run a graph. Tests compare the
output with graphs that `infra.bake` converted to the other block size.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

LIBRARY = "onnxruntime_pybind11_state"
OTHER = {8: 16, 16: 8}

# MLAS's platform table has the block size, followed by the alignment of buffers, which is 64.
_BUFFER_ALIGNMENT = 64


def save_optimised(model: bytes, out: Path) -> None:
    """Optimise a model and save it."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(out)
    out.unlink(missing_ok=True)
    ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def switch_block_size(scratch: Path) -> None:
    """Change the block size of this process's onnxruntime to the other one.

    Raises:
        LookupError: the block size was not found.
    """
    before = _probe(scratch)
    for address in _candidates():
        number = ctypes.c_uint32.from_address(address)
        known = number.value
        number.value = OTHER[known]
        if _probe(scratch) != before:
            return
        number.value = known
    raise LookupError(
        "no block size found in the memory of onnxruntime; this version of onnxruntime stores it elsewhere"
    )


def _probe(scratch: Path) -> bytes:
    filters = np.arange(32 * 32, dtype=np.float32).reshape(32, 32, 1, 1)
    pixels = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32, 4, 4])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 32, 4, 4])
    body = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])], "probe", [pixels], [out], [numpy_helper.from_array(filters, "w")]
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save_optimised(model.SerializeToString(), scratch)
    (written,) = onnx.load(scratch).graph.initializer
    return numpy_helper.to_array(written).tobytes()


def _candidates() -> Iterator[int]:
    """Addresses of numbers that may be the block size, in the library's writable memory."""
    with open("/proc/self/mem", "rb", 0) as memory:  # noqa: PTH123 - opened without buffering, to read parts
        for start, stop in sorted(set(_writable())):
            memory.seek(start)
            numbers = np.frombuffer(memory.read(stop - start), np.uint32)
            fits = np.isin(numbers[:-1], list(OTHER)) & (numbers[1:] == _BUFFER_ALIGNMENT)
            yield from (start + int(at) * 4 for at in np.flatnonzero(fits))


def _writable() -> Iterator[tuple[int, int]]:
    """The library's data: its writable pages, and the anonymous pages right after them."""
    lines = [line.split() for line in Path("/proc/self/maps").read_text("utf-8").splitlines()]
    for line, following in zip(lines, [*lines[1:], []], strict=True):
        if LIBRARY not in line[-1] or "w" not in line[1]:
            continue
        for found in (line, following if len(following) == 5 and "w" in following[1] else line):
            start, stop = (int(number, 16) for number in found[0].split("-"))
            yield start, stop


def main() -> None:
    """Write the optimised graph, see the module's docstring."""
    model, out = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
    _probe(out)  # the first session initialises the table
    switch_block_size(out)
    save_optimised(model, out)
    sys.stdout.flush()
    os._exit(0)  # exit without running code that depends on the block size


if __name__ == "__main__":
    main()
