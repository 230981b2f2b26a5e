"""Folders and options that the fuzzers share."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

BUILD = Path(__file__).parents[2] / "build" / "fuzz"


def kept(name: str, test: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """A test whose failing input is kept: libFuzzer itself keeps only what crashes or hangs."""

    def test_and_keep(data: bytes) -> None:
        try:
            test(data)
        except BaseException:
            path = BUILD / name / f"failed-{hashlib.sha256(data).hexdigest()[:16]}"
            path.write_bytes(data)
            sys.stderr.write(f"kept as {path}\n")
            raise

    return test_and_keep


def prepare(name: str, write_seeds: Callable[[Path], None], options: list[str]) -> list[str]:
    """Write the seeds when there are none; libFuzzer's arguments. What it learns, and what it breaks, stays there."""
    folders = [BUILD / name / part for part in ("corpus", "seeds")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    if not any(folders[1].iterdir()):
        write_seeds(folders[1])
    return [
        f"fuzz_{name}",
        f"-artifact_prefix={BUILD / name}/",
        "-print_final_stats=1",
        "-verbosity=1",
        *options,
        *map(str, folders),
    ]
