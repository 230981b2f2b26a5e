"""Remove what an image has no use for: python3 trim.py LIST FOLDER. A pattern that matches nothing fails."""

import shutil
import sys
from pathlib import Path


def trim(patterns: list[str], folder: Path) -> int:
    """Remove what the patterns match; gives the bytes that it had.

    Raises:
        ValueError: a pattern matches nothing.
    """
    removed = 0
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if not found:
            raise ValueError(f"nothing matches {pattern}: take it out of the list, or name what took its place")
        for path in found:
            removed += _remove(path)
    return removed


def read_patterns(text: str) -> list[str]:
    """The patterns of a list: a line each, but for comments and empty lines."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _remove(path: Path) -> int:
    if path.is_dir():
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        shutil.rmtree(path)
        return size
    if not path.exists():  # it went with a folder before
        return 0
    size = path.stat().st_size
    path.unlink()
    return size


if __name__ == "__main__":
    bytes_removed = trim(read_patterns(Path(sys.argv[1]).read_text("utf-8")), Path(sys.argv[2]))
    sys.stdout.write(f"removed {bytes_removed / 1e6:.1f} MB that nothing opens\n")
