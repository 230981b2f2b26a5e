"""Vectors as .npz. Members are buffered in temporary files, because their headers contain the number of rows."""

import struct
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from infra.common.errors import OperatorError
from infra.operate.vectors.batch import Batch

_CHUNK_BYTES = 1 << 20
_LENGTH = struct.Struct("<I")


class NpzVectors:
    """Writes `vectors` (n, dim) float32, `sources` and `etags` (n,) as UTF-8 bytes, `normalized` (n,) bool.

    `model` and `fingerprint` are single strings. Nothing is pickled, so `numpy.load(path)` needs no `allow_pickle`.
    """

    def __init__(self, file: IO[bytes], scratch: ExitStack, folder: Path) -> None:
        self._file = file
        self._vectors = _temporary(scratch, folder)
        self._sources = _Texts(_temporary(scratch, folder))
        self._etags = _Texts(_temporary(scratch, folder))
        self._normalized = _temporary(scratch, folder)
        self._rows = 0
        self._dim = 0
        self._models: set[tuple[str, str]] = set()

    def write(self, batch: Batch) -> None:
        """Append a batch.

        Raises:
            OperatorError: the vectors are of several models.
        """
        self._models |= set(zip(batch.models, batch.fingerprints, strict=True))
        if len({fingerprint for _, fingerprint in self._models}) > 1:
            raise OperatorError("an .npz file holds vectors of one model: use --fingerprint, or export to .parquet")
        self._vectors.write(batch.vectors.astype("<f4").tobytes())
        self._sources.write(batch.sources)
        self._etags.write(batch.etags)
        self._normalized.write(np.array(batch.normalized, dtype=np.bool_).tobytes())
        self._rows += len(batch.sources)
        self._dim = batch.dim

    def close(self) -> None:
        """Write the members to the file."""
        names, fingerprints = ({pair[index] for pair in self._models} for index in (0, 1))
        with zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            _add(archive, "vectors", "<f4", (self._rows, self._dim), _chunks(self._vectors))
            _add(archive, "sources", self._sources.dtype, (self._rows,), self._sources.padded())
            _add(archive, "etags", self._etags.dtype, (self._rows,), self._etags.padded())
            _add(archive, "normalized", "|b1", (self._rows,), _chunks(self._normalized))
            for name, values in (("model", names), ("fingerprint", fingerprints)):
                text = np.array(",".join(sorted(values)))
                _add(archive, name, text.dtype.str, (), [text.tobytes()])


class _Texts:
    """Strings of any length, buffered in a file until the width of their array is known."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._width = 1

    def write(self, texts: Iterable[str]) -> None:
        for text in texts:
            data = text.encode()
            self._width = max(self._width, len(data))
            self._file.write(_LENGTH.pack(len(data)) + data)

    @property
    def dtype(self) -> str:
        return f"|S{self._width}"

    def padded(self) -> Iterator[bytes]:
        self._file.seek(0)
        while head := self._file.read(_LENGTH.size):
            (length,) = _LENGTH.unpack(head)
            yield self._file.read(length).ljust(self._width, b"\0")


def _temporary(scratch: ExitStack, folder: Path) -> IO[bytes]:
    return scratch.enter_context(tempfile.TemporaryFile(dir=folder))


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _add(archive: zipfile.ZipFile, name: str, dtype: str, shape: tuple[int, ...], chunks: Iterable[bytes]) -> None:
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        header = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, header)
        for chunk in chunks:
            member.write(chunk)


@contextmanager
def npz_vectors(file: IO[bytes], folder: Path) -> Iterator[NpzVectors]:
    """A writer that is closed if the block raises nothing. It keeps temporary files in `folder` until the end."""
    with ExitStack() as scratch:
        writer = NpzVectors(file, scratch, folder)
        yield writer
        writer.close()
