"""A freed block of more than 128 KiB is returned to the system, once the text tower has fixed glibc's threshold."""

import subprocess
import sys

import pytest

from infra.common.paths import ROOT

# Blocks of 1 MiB, and a small one on top of them that stays. Freed, those on the heap are still the process's.
LEAVE_HOLES = """
from pathlib import Path
from handler.model.mmap_threshold import fix_mmap_threshold

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmRSS"))

before = resident()
if FIXED:
    fix_mmap_threshold()
bytearray(8 << 20)  # freed at once, which raises a threshold that is not fixed
blocks = [bytearray(b"x") * (1 << 20) for _ in range(64)]
small = bytearray(b"x") * (1 << 16)
blocks.clear()
print(resident() - before)
"""


@pytest.mark.parametrize("is_fixed", [True, False])
def test_large_blocks_leave_no_holes_on_the_heap(is_fixed: bool) -> None:
    code = LEAVE_HOLES.replace("FIXED", str(is_fixed))
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    kept = int(finished.stdout)
    assert kept < 8 if is_fixed else kept > 48
