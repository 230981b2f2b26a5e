"""Vectors as Parquet: a row group at a time, so that memory does not grow with the table."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from infra.common.errors import OperatorError
from infra.operate.vectors.batch import Batch


class ParquetVectors:
    """Writes row groups.

    One fingerprint makes `vector` a list of fixed length, which vector stores know as such; with several, lengths
    may differ.
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
            # Neither dictionaries nor statistics help vectors; floats hardly shrink, so speed comes first.
            self._writer = arrow.parquet.ParquetWriter(
                self._file, table.schema, compression="zstd", use_dictionary=["model", "fingerprint"]
            )
        self._writer.write_table(table)

    def close(self) -> None:
        """Write the end."""
        if self._writer is not None:
            self._writer.close()


def _pyarrow() -> Any:  # noqa: ANN401 - it ships no types
    try:
        import pyarrow as pa  # noqa: PLC0415 - large, and only this needs it
        import pyarrow.parquet  # noqa: PLC0415 - likewise; it is `pa.parquet` then
    except ImportError:
        raise OperatorError(
            "Parquet needs the packages of the dependency group `vectors` (pip install --group vectors); .npz does not"
        ) from None
    return pa


@contextmanager
def parquet_vectors(file: IO[bytes], *, mixed: bool) -> Iterator[ParquetVectors]:
    """A writer, closed when all went well."""
    _pyarrow()
    writer = ParquetVectors(file, mixed=mixed)
    yield writer
    writer.close()
