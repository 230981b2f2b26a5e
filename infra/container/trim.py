"""Delete files that the function does not need: python3 trim.py LIST FOLDER. Each pattern must match something."""

import shutil
import sys
from pathlib import Path


def trim(patterns: list[str], folder: Path) -> int:
    """Delete the files that the patterns match; returns their size in bytes.

    Raises:
        ValueError: a pattern matches nothing.
    """
    removed = 0
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if not found:
            raise ValueError(f"no file matches {pattern}; remove the pattern from the list, or correct it")
        for path in found:
            removed += _remove(path)
    return removed


def read_patterns(text: str) -> list[str]:
    """The patterns of a list: one a line, without comments and empty lines."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _remove(path: Path) -> int:
    if path.is_dir():
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        shutil.rmtree(path)
        return size
    if not path.exists():  # deleted with its folder
        return 0
    size = path.stat().st_size
    path.unlink()
    return size


if __name__ == "__main__":
    bytes_removed = trim(read_patterns(Path(sys.argv[1]).read_text("utf-8")), Path(sys.argv[2]))
    sys.stdout.write(f"removed {bytes_removed / 1e6:.1f} MB of unneeded files\n")
