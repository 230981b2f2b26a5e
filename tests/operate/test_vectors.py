"""Vectors of a table as files."""

from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from infra.common.errors import OperatorError
from infra.operate.account import Account
from infra.operate.vectors.export import BATCH_BYTES, Wish, export_vectors, read_batches
from tests.operate.conftest import put_item, put_vector

OURS, OTHER = "f" * 64, "e" * 64
VECTORS = {f"s3://pictures/a b/Ü+{number}.png": [number, -0.5, 0.25] for number in range(5)}


@pytest.fixture
def full(account: Account) -> Account:
    """Five vectors of ours, one of another model, one rejection and one tombstone."""
    for source, vector in VECTORS.items():
        put_vector(account, source, vector, fingerprint=OURS)
    put_vector(account, "s3://pictures/old.png", [1, 2], fingerprint=OTHER)
    put_item(account, "s3://pictures/bad.png", status="error", fingerprint=OURS, error_code="corrupt_image")
    put_item(account, "s3://pictures/gone.png", status="deleted")
    return account


def of_npz(path: Path) -> dict[str, list[float]]:
    with np.load(path) as arrays:  # nothing in it is pickled
        names = [name.decode() for name in arrays["sources"]]
        return dict(zip(names, arrays["vectors"].tolist(), strict=True))


def of_parquet(path: Path) -> dict[str, list[float]]:
    table = pyarrow.parquet.read_table(path)
    return dict(zip(table["source"].to_pylist(), table["vector"].to_pylist(), strict=True))


READ = {"v.npz": of_npz, "v.parquet": of_parquet}


@pytest.mark.parametrize("name", READ)
def test_a_file_holds_the_vectors_of_one_model(full: Account, tmp_path: Path, name: str) -> None:
    export_vectors(full, Wish(tmp_path / name, fingerprint=OURS))
    assert READ[name](tmp_path / name) == VECTORS
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", READ)
def test_float16_vectors_become_float32(account: Account, tmp_path: Path, name: str) -> None:
    put_vector(account, "s3://pictures/a.png", [0.1, -2.5, 3], dtype="float16", fingerprint=OURS)
    put_vector(account, "s3://pictures/b.png", [0.1, -2.5, 3], fingerprint=OURS)
    export_vectors(account, Wish(tmp_path / name, fingerprint=OURS))
    assert READ[name](tmp_path / name) == {
        "s3://pictures/a.png": [float(np.float16(0.1)), -2.5, 3],
        "s3://pictures/b.png": [float(np.float32(0.1)), -2.5, 3],
    }


def test_parquet_says_that_all_vectors_have_one_length(full: Account, tmp_path: Path) -> None:
    export_vectors(full, Wish(tmp_path / "v.parquet", fingerprint=OURS[:6]))
    schema = pyarrow.parquet.read_schema(tmp_path / "v.parquet")
    assert str(schema.field("vector").type) == "fixed_size_list<element: float>[3]"
    table = pyarrow.parquet.read_table(tmp_path / "v.parquet")
    assert set(table["fingerprint"].to_pylist()) == {OURS}
    assert set(table["etag"].to_pylist()) == {f"etag of {source}" for source in VECTORS}
    assert set(table["normalized"].to_pylist()) == {True}


def test_an_npz_says_which_model_made_its_vectors(full: Account, tmp_path: Path) -> None:
    export_vectors(full, Wish(tmp_path / "v.npz", fingerprint=OURS))
    with np.load(tmp_path / "v.npz") as arrays:
        assert (str(arrays["model"]), str(arrays["fingerprint"])) == ("a model", OURS)
        assert arrays["vectors"].dtype == np.float32
        assert sorted(arrays["etags"].tolist()) == sorted(f"etag of {source}".encode() for source in VECTORS)
        assert arrays["normalized"].tolist() == [True] * 5


def test_mixed_models_fit_into_a_parquet_and_not_into_an_npz(full: Account, tmp_path: Path) -> None:
    export_vectors(full, Wish(tmp_path / "v.parquet", mixed=True))
    assert of_parquet(tmp_path / "v.parquet") == {**VECTORS, "s3://pictures/old.png": [1, 2]}
    with pytest.raises(OperatorError, match=r"an \.npz holds vectors of one model"):
        export_vectors(full, Wish(tmp_path / "v.npz", mixed=True))


def test_a_file_that_is_there_stays_when_nothing_can_be_exported(account: Account, tmp_path: Path) -> None:
    (tmp_path / "v.npz").write_text("of yesterday")
    put_item(account, "s3://pictures/bad.png", status="error", fingerprint=OURS)
    with pytest.raises(OperatorError, match="has no vectors of the fingerprint ffffffff"):
        export_vectors(account, Wish(tmp_path / "v.npz", fingerprint=OURS))
    assert (tmp_path / "v.npz").read_text() == "of yesterday"
    assert [path.name for path in tmp_path.iterdir()] == ["v.npz"]


def test_a_beginning_that_fits_several_models_is_refused(account: Account, tmp_path: Path) -> None:
    for number, fingerprint in enumerate(("ab" + "0" * 62, "ab" + "1" * 62)):
        put_vector(account, f"s3://pictures/{number}.png", [1, 2, 3], fingerprint=fingerprint)
    with pytest.raises(OperatorError, match="ab begins several: name one of ab0000"):
        export_vectors(account, Wish(tmp_path / "v.npz", fingerprint="ab"))


def test_vectors_are_written_while_the_table_is_still_read(account: Account, tmp_path: Path) -> None:
    dim = 16384
    count = 3 * BATCH_BYTES // (4 * dim)
    for number in range(count):
        put_vector(account, f"s3://pictures/{number}.png", np.full(dim, number), fingerprint=OURS)
    pages: list[str] = []
    account.dynamodb.meta.events.register("before-call.dynamodb.Scan", lambda **_: pages.append("asked"))
    sizes: list[int] = []

    for batch in read_batches(account, OURS):
        sizes.append(len(batch.sources))
        pages.append("written")
    assert sum(sizes) == count
    assert max(sizes) < 2 * BATCH_BYTES / (4 * dim)
    assert pages.index("written") < len(pages) / 2
