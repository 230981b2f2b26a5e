"""Memory that a large picture leaves on the heap is returned before the next large one."""

import subprocess
import sys
from pathlib import Path

# Blocks of 16 MB on the heap, below a small one that stays: freed, they are still the process's.
LEAVE_HOLES = """
from pathlib import Path
from PIL import Image
from handler.images.decode import decode
from tests.support.containers import black_png

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmRSS"))

Image.new("L", (4000, 4000), 1).close()
blocks = [Image.new("L", (4000, 4000), 1) for _ in range(25)]
small = Image.new("L", (1000, 1000), 1)
blocks.clear()
print(resident())
decode(black_png((6000, 5000), 1, 0), 10**8)
print(resident())
"""


def test_the_heap_is_trimmed_before_a_large_picture() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", LEAVE_HOLES], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    before, after = map(int, finished.stdout.split())
    assert before > 350
    assert after < 250
