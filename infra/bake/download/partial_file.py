"""A partly downloaded file, kept beside the target so that a later run can resume it."""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from infra.common.errors import OperatorError

_BLOCK = 1 << 20


class PartialFile:
    """`NAME.part`, and `NAME.part.json` with its URL and ETag; locked, so that only one process uses it at a time.

    The rest of one file must never be appended to the beginning of another. So a partial file is resumed only for the
    same URL, and only if the server can confirm that the file is still the same, by a strong ETag (RFC 9110, 13.1.5: a
    weak ETag does not identify bytes), or if the whole file's hash is pinned, since some CDNs send no ETag.

    Attributes:
        length: bytes so far.
        resumed: whether some of them came with an earlier response.
    """

    def __init__(self, target: Path, url: str, *, pinned: bool) -> None:
        """Open the partial file of an earlier run, or an empty one.

        Args:
            target: where the complete file goes; its folder must exist.
            url: the URL that it is downloaded from.
            pinned: whether the complete file's hash is known.

        Raises:
            OperatorError: another process has locked it.
            OSError: the folder cannot be written.
        """
        self.length = 0
        self.resumed = False
        self._target, self._url, self._pinned = target, url, pinned
        self._path = target.with_name(f"{target.name}.part")
        self._metadata = target.with_name(f"{target.name}.part.json")
        self._hash = hashlib.sha256()
        self._etag: str | None = None
        self._done = False
        self._file = _open_locked(self._path)
        try:
            self._resume()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._file:
            if not self._done and not (self.length and self._resumable()):
                self._path.unlink(missing_ok=True)
                self._metadata.unlink(missing_ok=True)

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes so far, hex."""
        return self._hash.hexdigest()

    def range_headers(self) -> dict[str, str]:
        """Request headers for the rest of the file, if it is still the same file; empty to request all of it."""
        if not self.length or not self._resumable():
            return {}
        headers = {"Range": f"bytes={self.length}-"}
        return headers | {"If-Range": self._etag} if self._etag else headers

    def continues_with(self, headers: Mapping[str, str]) -> bool:
        """Whether a 206 response with these headers continues this partial file."""
        begin, _ = content_range(headers)
        etag = headers.get("etag", self._etag if self._pinned else None)
        self.resumed = self.length > 0 and begin == self.length and (self._etag is None or etag == self._etag)
        return self.resumed

    def begin(self, headers: Mapping[str, str]) -> None:
        """Start over, for a 200 response with these headers."""
        self.clear()
        etag = headers.get("etag", "")
        self._etag = etag if etag.startswith('"') else None
        if self._resumable():
            self._metadata.write_text(json.dumps({"url": self._url, "etag": self._etag}), "utf-8")

    def clear(self) -> None:
        """Delete the bytes so far."""
        self._file.truncate(0)
        self._metadata.unlink(missing_ok=True)
        self._hash, self._etag = hashlib.sha256(), None
        self.length, self.resumed = 0, False

    def write(self, data: bytes) -> None:
        """Append."""
        self._file.write(data)
        self._hash.update(data)
        self.length += len(data)

    def head(self, size: int) -> bytes:
        """The first bytes, `size` at most."""
        self._file.flush()
        with self._path.open("rb") as file:
            return file.read(size)

    def finish(self) -> None:
        """Rename the complete file to the target."""
        self._file.flush()
        self._path.replace(self._target)
        self._done = True
        self._metadata.unlink(missing_ok=True)

    def _resumable(self) -> bool:
        return self._pinned or self._etag is not None

    def _resume(self) -> None:
        try:
            metadata = json.loads(self._metadata.read_bytes())
        except (FileNotFoundError, ValueError):
            metadata = None
        known = isinstance(metadata, dict) and metadata.get("url") == self._url
        if known and isinstance(metadata.get("etag"), str | None):
            self._etag = metadata.get("etag")
        else:
            known = False
        if not known or not self._resumable():
            self.clear()
            return
        with self._path.open("rb") as file:
            while block := file.read(_BLOCK):
                self._hash.update(block)
                self.length += len(block)


def content_range(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """The first byte and the complete file's length from the header Content-Range; None for what it does not say."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("content-range", "").strip(), re.ASCII)
    if not match:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _open_locked(path: Path) -> BinaryIO:
    while True:
        file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.path.samestat(os.fstat(file.fileno()), path.stat())
        except FileNotFoundError:
            same = False
        except BlockingIOError:
            file.close()
            raise OperatorError(f"another process is writing {path}; wait until it has ended and try again") from None
        except BaseException:
            file.close()
            raise
        if same:
            return file
        file.close()  # the previous owner renamed or deleted it after this process opened it
