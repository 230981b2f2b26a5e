"""Export of vectors to files."""

from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from infra.common.errors import OperatorError
from infra.operate.stack import DeployedStack
from infra.operate.vectors.export import BATCH_BYTES, ExportQuery, export_vectors, read_batches
from tests.operate.conftest import put_item, put_vector

OURS, OTHER = "f" * 64, "e" * 64
VECTORS = {f"s3://pictures/a b/Ü+{number}.png": [number, -0.5, 0.25] for number in range(5)}


@pytest.fixture
def full(stack: DeployedStack) -> DeployedStack:
    """Five vectors of our model, one of another model, one rejected object and one tombstone."""
    for source, vector in VECTORS.items():
        put_vector(stack, source, vector, fingerprint=OURS)
    put_vector(stack, "s3://pictures/old.png", [1, 2], fingerprint=OTHER)
    put_item(stack, "s3://pictures/bad.png", status="error", fingerprint=OURS, error_code="corrupt_image")
    put_item(stack, "s3://pictures/gone.png", status="deleted")
    return stack


def of_npz(path: Path) -> dict[str, list[float]]:
    with np.load(path) as arrays:  # fails if anything is pickled
        names = [name.decode() for name in arrays["sources"]]
        return dict(zip(names, arrays["vectors"].tolist(), strict=True))


def of_parquet(path: Path) -> dict[str, list[float]]:
    table = pyarrow.parquet.read_table(path)
    return dict(zip(table["source"].to_pylist(), table["vector"].to_pylist(), strict=True))


READ = {"v.npz": of_npz, "v.parquet": of_parquet}


@pytest.mark.parametrize("name", READ)
def test_a_file_holds_the_vectors_of_one_model(full: DeployedStack, tmp_path: Path, name: str) -> None:
    export_vectors(full, ExportQuery(tmp_path / name, fingerprint=OURS))
    assert READ[name](tmp_path / name) == VECTORS
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", READ)
def test_float16_vectors_become_float32(stack: DeployedStack, tmp_path: Path, name: str) -> None:
    put_vector(stack, "s3://pictures/a.png", [0.1, -2.5, 3], dtype="float16", fingerprint=OURS)
    put_vector(stack, "s3://pictures/b.png", [0.1, -2.5, 3], fingerprint=OURS)
    export_vectors(stack, ExportQuery(tmp_path / name, fingerprint=OURS))
    assert READ[name](tmp_path / name) == {
        "s3://pictures/a.png": [float(np.float16(0.1)), -2.5, 3],
        "s3://pictures/b.png": [float(np.float32(0.1)), -2.5, 3],
    }


def test_parquet_has_fixed_size_lists_for_one_model(full: DeployedStack, tmp_path: Path) -> None:
    export_vectors(full, ExportQuery(tmp_path / "v.parquet", fingerprint=OURS[:6]))
    schema = pyarrow.parquet.read_schema(tmp_path / "v.parquet")
    assert str(schema.field("vector").type) == "fixed_size_list<element: float>[3]"
    table = pyarrow.parquet.read_table(tmp_path / "v.parquet")
    assert set(table["fingerprint"].to_pylist()) == {OURS}
    assert set(table["etag"].to_pylist()) == {f"etag of {source}" for source in VECTORS}
    assert set(table["normalized"].to_pylist()) == {True}


def test_an_npz_names_the_model_of_its_vectors(full: DeployedStack, tmp_path: Path) -> None:
    export_vectors(full, ExportQuery(tmp_path / "v.npz", fingerprint=OURS))
    with np.load(tmp_path / "v.npz") as arrays:
        assert (str(arrays["model"]), str(arrays["fingerprint"])) == ("a model", OURS)
        assert arrays["vectors"].dtype == np.float32
        assert sorted(arrays["etags"].tolist()) == sorted(f"etag of {source}".encode() for source in VECTORS)
        assert arrays["normalized"].tolist() == [True] * 5


def test_vectors_of_several_models_need_parquet(full: DeployedStack, tmp_path: Path) -> None:
    export_vectors(full, ExportQuery(tmp_path / "v.parquet", mixed=True))
    assert of_parquet(tmp_path / "v.parquet") == {**VECTORS, "s3://pictures/old.png": [1, 2]}
    with pytest.raises(OperatorError, match=r"an \.npz file holds vectors of one model"):
        export_vectors(full, ExportQuery(tmp_path / "v.npz", mixed=True))


def test_an_existing_file_is_kept_if_the_export_fails(stack: DeployedStack, tmp_path: Path) -> None:
    (tmp_path / "v.npz").write_text("of yesterday")
    put_item(stack, "s3://pictures/bad.png", status="error", fingerprint=OURS)
    with pytest.raises(OperatorError, match="has no vectors with the fingerprint ffffffff"):
        export_vectors(stack, ExportQuery(tmp_path / "v.npz", fingerprint=OURS))
    assert (tmp_path / "v.npz").read_text() == "of yesterday"
    assert [path.name for path in tmp_path.iterdir()] == ["v.npz"]


def test_the_start_of_several_fingerprints_is_an_error(stack: DeployedStack, tmp_path: Path) -> None:
    for number, fingerprint in enumerate(("ab" + "0" * 62, "ab" + "1" * 62)):
        put_vector(stack, f"s3://pictures/{number}.png", [1, 2, 3], fingerprint=fingerprint)
    with pytest.raises(OperatorError, match="several fingerprints start with ab: give more digits of one of ab0000"):
        export_vectors(stack, ExportQuery(tmp_path / "v.npz", fingerprint="ab"))


def test_vectors_are_written_before_the_scan_ends(stack: DeployedStack, tmp_path: Path) -> None:
    dim = 16384
    count = 3 * BATCH_BYTES // (4 * dim)
    for number in range(count):
        put_vector(stack, f"s3://pictures/{number}.png", np.full(dim, number), fingerprint=OURS)
    pages: list[str] = []
    stack.dynamodb.meta.events.register("before-call.dynamodb.Scan", lambda **_: pages.append("scan"))
    sizes: list[int] = []

    for batch in read_batches(stack, OURS):
        sizes.append(len(batch.sources))
        pages.append("written")
    assert sum(sizes) == count
    assert max(sizes) < 2 * BATCH_BYTES / (4 * dim)
    assert pages.index("written") < len(pages) / 2
