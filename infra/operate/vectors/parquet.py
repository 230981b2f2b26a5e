"""Vectors as Parquet, written by row group, so that memory does not grow with the table."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from infra.common.errors import OperatorError
from infra.operate.vectors.batch import Batch


class ParquetVectors:
    """Writes row groups.

    With one model the column `vector` is a fixed-size list, which vector stores recognise. With several models
    (`mixed`) it is a list, because dimensions may differ.
    """

    def __init__(self, file: IO[bytes], *, mixed: bool) -> None:
        self._file = file
        self._mixed = mixed
        self._writer: Any = None

    def write(self, batch: Batch) -> None:
        """Append a batch as a row group."""
        arrow: Any = _pyarrow()
        flat = arrow.array(batch.vectors.reshape(-1))
        if self._mixed:
            offsets = arrow.array(range(0, len(flat) + 1, batch.dim), arrow.int32())
            vectors = arrow.ListArray.from_arrays(offsets, flat)
        else:
            vectors = arrow.FixedSizeListArray.from_arrays(flat, batch.dim)
        columns = {
            "source": arrow.array(batch.sources, arrow.string()),
            "vector": vectors,
            "etag": arrow.array(batch.etags, arrow.string()),
            "normalized": arrow.array(batch.normalized, arrow.bool_()),
            "model": arrow.array(batch.models, arrow.string()),
            "fingerprint": arrow.array(batch.fingerprints, arrow.string()),
        }
        table = arrow.table(columns)
        if self._writer is None:
            # Dictionaries do not help vectors, and floats barely compress, so a fast codec is best.
            self._writer = arrow.parquet.ParquetWriter(
                self._file, table.schema, compression="zstd", use_dictionary=["model", "fingerprint"]
            )
        self._writer.write_table(table)

    def close(self) -> None:
        """Write the file's footer."""
        if self._writer is not None:
            self._writer.close()


def _pyarrow() -> Any:  # noqa: ANN401 - pyarrow ships no types
    try:
        import pyarrow as pa  # noqa: PLC0415 - large, and needed here only
        import pyarrow.parquet  # noqa: PLC0415 - likewise; defines `pa.parquet`
    except ImportError:
        raise OperatorError(
            "export to Parquet needs pyarrow, which the extra `vectors` installs; or export to .npz"
        ) from None
    return pa


@contextmanager
def parquet_vectors(file: IO[bytes], *, mixed: bool) -> Iterator[ParquetVectors]:
    """A writer that is closed if the block raises nothing."""
    _pyarrow()
    writer = ParquetVectors(file, mixed=mixed)
    yield writer
    writer.close()
