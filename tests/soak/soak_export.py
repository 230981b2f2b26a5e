"""Export of a large table, with a limit for peak memory.

python -m tests.soak.soak_export [--items 100000]

The table is on the local AWS. The command runs in a process of its own, which reports its peak memory.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet

from infra.common.local_session import ACCESS_KEY, CONFIG, REGION, session
from infra.common.paths import ROOT
from infra.local.server import local_aws

TABLE = "vectors"
FINGERPRINT = "ab" * 32
DIM = 512
LIMIT_MB = 500

# One item in a hundred is not exported: an error, a tombstone, or a vector of another model.
_OTHERS = 100
_BATCH = 25
_WRITERS = 4

# VmHWM where available, because `ru_maxrss` includes the peak of the parent before exec.
_CHILD = """
import pathlib, resource, sys
from infra.cli.main import main
code = main(sys.argv[1:])
status = pathlib.Path("/proc/self/status")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
if status.exists():
    peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
print(f"peak {peak:.0f}", file=sys.stderr)
sys.exit(code)
"""


@dataclass(frozen=True)
class Exported:
    """The result of one export.

    Attributes:
        name: the file's name.
        seconds: duration of the export.
        peak_mb: peak memory, MiB.
        rows: number of rows in the file.
        bytes: size of the file.
        wrong: rows that differ from the table, or are missing, unexpected or repeated.
    """

    name: str
    seconds: float
    peak_mb: float
    rows: int
    bytes: int
    wrong: int

    def line(self) -> str:
        """The result as a line of text."""
        return (
            f"{self.name}: {self.rows} rows, {self.bytes / 1e6:.0f} MB, {self.seconds:.0f} s, peak {self.peak_mb:.0f} "
            f"MiB, {self.wrong} wrong"
        )


def vector(number: int) -> npt.NDArray[np.float32]:
    """The vector of an item, (DIM,); deterministic."""
    waves: npt.NDArray[np.float32] = np.sin(np.arange(DIM, dtype=np.float32) * 0.37 + number % 9973)
    return waves


def source(number: int) -> str:
    """The `source` of an item."""
    return f"s3://catalogue-uploads/spring/2026/Ünï {number:07}.jpg"


def item(number: int) -> dict[str, Any]:
    """An item as the function writes it."""
    made: dict[str, Any] = {
        "source": {"S": source(number)},
        "status": {"S": "success"},
        "etag": {"S": f"{number:032x}"},
        "model": {"S": "mobileclip-s2"},
        "fingerprint": {"S": FINGERPRINT},
        "embedding": {"B": vector(number).astype("<f4").tobytes()},
        "embedding_dtype": {"S": "float32"},
        "embedding_dim": {"N": str(DIM)},
        "normalized": {"BOOL": True},
        "result": {"S": "s3://results/" + "x" * 100},
        "updated_at": {"S": "2026-11-24T00:00:00.000000Z"},
    }
    return made


def others(count: int) -> Iterator[dict[str, Any]]:
    """Items that must not be exported: errors, tombstones, and vectors of another model."""
    for number in range(count // _OTHERS):
        name = {"source": {"S": f"s3://others/{number}"}}
        yield [
            {**name, "status": {"S": "error"}, "fingerprint": {"S": FINGERPRINT}, "error_code": {"S": "corrupt_image"}},
            {**name, "status": {"S": "deleted"}},
            {**item(number), **name, "fingerprint": {"S": "cd" * 32}},
        ][number % 3]


def fill(endpoint: str, items: int) -> None:
    """Create and fill the table."""
    dynamodb = session().client("dynamodb", endpoint_url=endpoint, config=CONFIG)
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "source", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "source", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def put(numbers: Sequence[int]) -> None:
        write([item(number) for number in numbers])

    def write(some: Sequence[Any]) -> None:
        answer = dynamodb.batch_write_item(RequestItems={TABLE: [{"PutRequest": {"Item": one}} for one in some]})
        assert not answer["UnprocessedItems"]

    with ThreadPoolExecutor(_WRITERS) as pool:
        for _ in pool.map(put, (range(at, min(at + _BATCH, items)) for at in range(0, items, _BATCH))):
            pass
    not_exported = list(others(items))
    for at in range(0, len(not_exported), _BATCH):
        write(not_exported[at : at + _BATCH])


def export(endpoint: str, path: Path, items: int) -> Exported:
    """Export the table to a file, and compare the file with the table."""
    environment = os.environ | {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "AWS_DEFAULT_REGION": REGION,
    }
    arguments = ["export", "--out", str(path), "--table", TABLE, "--fingerprint", FINGERPRINT]
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, *arguments],
        cwd=ROOT,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seconds = time.monotonic() - started
    peak = float(done.stderr.split()[-1])
    sources, vectors = read(path)
    return Exported(
        path.name, seconds, peak, len(sources), path.stat().st_size, wrong_rows(sources, vectors, range(items))
    )


def read(path: Path) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Read the sources and vectors of an exported file."""
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return [name.decode() for name in arrays["sources"]], arrays["vectors"]
    table = pyarrow.parquet.read_table(path, columns=["source", "vector"])
    flat = np.concatenate([chunk.flatten().to_numpy() for chunk in table["vector"].chunks])
    return table["source"].to_pylist(), flat.reshape(len(table), -1)


def wrong_rows(sources: Sequence[str], vectors: npt.NDArray[np.float32], expected: range) -> int:
    """The number of items that are missing or differ; unexpected and repeated rows count, too."""
    rows = {name: at for at, name in enumerate(sources)}
    correct = sum(
        source(number) in rows and np.array_equal(vectors[rows[source(number)]], vector(number)) for number in expected
    )
    return max(len(expected), len(sources)) - correct


def run(items: int, names: Sequence[str] = ("vectors.parquet", "vectors.npz")) -> list[Exported]:
    """Fill a table and export it in each file format."""
    with tempfile.TemporaryDirectory() as folder, local_aws(Path(folder) / "aws.log") as aws:
        fill(aws.endpoint, items)
        return [export(aws.endpoint, Path(folder) / name, items) for name in names]


def main() -> int:
    """Run the exports; the exit code is 1 if a row is wrong or peak memory exceeds the limit."""
    parser = argparse.ArgumentParser(description="Export a large table.")
    parser.add_argument("--items", type=int, default=100_000)
    found = run(parser.parse_args().items)
    sys.stdout.write("\n".join(one.line() for one in found) + "\n")
    return 0 if all(one.wrong == 0 and one.peak_mb <= LIMIT_MB for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
