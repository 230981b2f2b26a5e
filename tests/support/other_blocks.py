"""What onnxruntime writes for a CPU with blocks of the other width, on a CPU that has not got them.

python -m tests.support.other_blocks MODEL.onnx OUT.onnx

The optimiser's own code is plain C++ that asks the library's table of platform facts how wide the blocks are. This
finds that one number in the memory of its own process, changes it, sees by a probe that it was the right one, and
saves an optimised graph. Nothing must be computed after that. It is how the tests know the truth about the other width.
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

# In MLAS's platform table: the width of the blocks, and next to it the alignment of buffers, which is 64.
_BUFFER_ALIGNMENT = 64


def save_optimised(model: bytes, out: Path) -> None:
    """Save what the optimiser makes of a model."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(out)
    out.unlink(missing_ok=True)
    ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def widen_or_narrow(scratch: Path) -> None:
    """Make this process's onnxruntime write blocks of the other width.

    Raises:
        LookupError: the number was not found.
    """
    before = _probe(scratch)
    for address in _candidates():
        number = ctypes.c_uint32.from_address(address)
        known = number.value
        number.value = OTHER[known]
        if _probe(scratch) != before:
            return
        number.value = known
    raise LookupError("the width of the blocks is not where it was in the onnxruntime that this was written for")


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
    """Addresses of numbers that could be it, in what the library may write to."""
    with open("/proc/self/mem", "rb", 0) as memory:  # noqa: PTH123 - not a file to be read whole
        for start, stop in sorted(set(_writable())):
            memory.seek(start)
            numbers = np.frombuffer(memory.read(stop - start), np.uint32)
            fits = np.isin(numbers[:-1], list(OTHER)) & (numbers[1:] == _BUFFER_ALIGNMENT)
            yield from (start + int(at) * 4 for at in np.flatnonzero(fits))


def _writable() -> Iterator[tuple[int, int]]:
    """The library's data: its own writable pages, and the nameless ones right behind them."""
    lines = [line.split() for line in Path("/proc/self/maps").read_text("utf-8").splitlines()]
    for line, behind in zip(lines, [*lines[1:], []], strict=True):
        if LIBRARY not in line[-1] or "w" not in line[1]:
            continue
        for found in (line, behind if len(behind) == 5 and "w" in behind[1] else line):
            start, stop = (int(number, 16) for number in found[0].split("-"))
            yield start, stop


def main() -> None:
    """See the module."""
    model, out = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
    _probe(out)  # the table is filled in by the first session
    widen_or_narrow(out)
    save_optimised(model, out)
    sys.stdout.flush()
    os._exit(0)  # nothing more may run here


if __name__ == "__main__":
    main()
