"""The bytes of a file that have arrived so far: kept beside its place, so that a later run goes on from there."""

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


class Part:
    """`NAME.part`, and `NAME.part.json` that says where its bytes come from; held by one process at a time.

    The rest of one file must never be appended to the beginning of another. So a part is resumed only for the same
    URL, and only when its origin can be told again: by a strong ETag (RFC 9110, 13.1.5: a weak one proves nothing
    about bytes), or, as some CDNs send none, by the pinned hash of the whole, which shows it in the end.

    Attributes:
        length: bytes so far.
        resumed: whether some of them came with an earlier answer.
    """

    def __init__(self, target: Path, url: str, *, pinned: bool) -> None:
        """Take the part up, or begin an empty one.

        Args:
            target: where the whole file is to be; its folder exists.
            url: where it comes from.
            pinned: whether its hash is known beforehand.

        Raises:
            OperatorError: another process holds it.
            OSError: the folder cannot be written.
        """
        self.length = 0
        self.resumed = False
        self._target, self._url, self._pinned = target, url, pinned
        self._path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")
        self._hash = hashlib.sha256()
        self._etag: str | None = None
        self._done = False
        self._file = _open_alone(self._path)
        try:
            self._take_up()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._file:
            if not self._done and not (self.length and self._resumable()):
                self._path.unlink(missing_ok=True)
                self._note.unlink(missing_ok=True)

    @property
    def sha256(self) -> str:
        """Of the bytes so far, hex."""
        return self._hash.hexdigest()

    def range_headers(self) -> dict[str, str]:
        """What to ask for: the rest, provided that the file is still the same; or, with no headers, all of it."""
        if not self.length or not self._resumable():
            return {}
        headers = {"Range": f"bytes={self.length}-"}
        return headers | {"If-Range": self._etag} if self._etag else headers

    def continues_with(self, headers: Mapping[str, str]) -> bool:
        """Whether an answer 206 with these headers goes on where this part ends, in the same file."""
        begin, _ = content_range(headers)
        etag = headers.get("etag", self._etag if self._pinned else None)
        self.resumed = self.length > 0 and begin == self.length and (self._etag is None or etag == self._etag)
        return self.resumed

    def begin(self, headers: Mapping[str, str]) -> None:
        """Drop what is there, for an answer with these headers that brings all of the file."""
        self.clear()
        etag = headers.get("etag", "")
        self._etag = etag if etag.startswith('"') else None
        if self._resumable():
            self._note.write_text(json.dumps({"url": self._url, "etag": self._etag}), "utf-8")

    def clear(self) -> None:
        """Drop what is there."""
        self._file.truncate(0)
        self._note.unlink(missing_ok=True)
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
        """Put the file in its place, in one step."""
        self._file.flush()
        self._path.replace(self._target)
        self._done = True
        self._note.unlink(missing_ok=True)

    def _resumable(self) -> bool:
        return self._pinned or self._etag is not None

    def _take_up(self) -> None:
        try:
            note = json.loads(self._note.read_bytes())
        except (FileNotFoundError, ValueError):
            note = None
        if isinstance(note, dict) and note.get("url") == self._url and isinstance(note.get("etag"), str | None):
            self._etag = note.get("etag")
        else:
            note = None
        if note is None or not self._resumable():
            self.clear()
            return
        with self._path.open("rb") as file:
            while block := file.read(_BLOCK):
                self._hash.update(block)
                self.length += len(block)


def content_range(headers: Mapping[str, str]) -> tuple[int | None, int | None]:
    """The first byte and the whole file's length, as Content-Range tells them; None where it does not."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("content-range", "").strip(), re.ASCII)
    if not match:
        return None, None
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _open_alone(path: Path) -> BinaryIO:
    while True:
        file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = os.path.samestat(os.fstat(file.fileno()), path.stat())
        except FileNotFoundError:
            alone = False
        except BlockingIOError:
            file.close()
            raise OperatorError(f"another process is writing {path}; wait until it has ended, then try again") from None
        except BaseException:
            file.close()
            raise
        if alone:
            return file
        file.close()  # its last holder has moved or removed it just now
