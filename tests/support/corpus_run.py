"""A process that decodes files as the function does and measures each: a line of JSON for every path it reads."""

import gc
import hashlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image

from handler.errors import RejectedError
from handler.images.decode import decode
from handler.images.preprocess import Preprocess, to_tensor

MAX_PIXELS = 100_000_000
COMPARED_PIXELS = 1_000_000
HOW = Preprocess(224, 224, "shortest_side", "bicubic", "rgb", 128, (127 / 128,) * 3, (1, 1, 1))


def measure(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    can_forget, printed = forget_peak(), os.fstat(2).st_size
    wall, cpu = time.perf_counter(), time.process_time()
    picture, outcome = None, "success"
    try:
        found = decode(data, MAX_PIXELS, HOW.enough)
        picture = found.image
        assert to_tensor(picture, HOW, (found.width, found.height)).shape == (1, 3, 224, 224)
    except RejectedError as error:
        outcome = error.code
    # A busy neighbour costs wall time, a decoder's second thread costs processor time: neither is the file's fault.
    seconds = min(time.perf_counter() - wall, time.process_time() - cpu)
    return {
        "outcome": outcome,
        "seconds": seconds,
        "peak": peak() if can_forget else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
        "printed": os.fstat(2).st_size - printed,
        "digest": digest(picture) if picture else None,
    }


def forget_peak() -> bool:
    """Whether the kernel lets this process begin anew; otherwise its peak is that of all its files so far."""
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def digest(picture: Image.Image) -> str | None:
    if picture.width * picture.height > COMPARED_PIXELS:
        return None
    return hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(measure(Path(line.rstrip("\n")))) + "\n")
        sys.stdout.flush()
